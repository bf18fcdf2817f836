import Foundation

@testable import LoadParts

/// Maps a file of this text. Its name is gone at once; the mapping stays.
func mapped(_ text: String) throws -> CredentialFile {
    let url = FileManager.default.temporaryDirectory.appending(path: "load-tests-\(UUID())")
    try Data(text.utf8).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    return try CredentialFile(path: url.path)
}
