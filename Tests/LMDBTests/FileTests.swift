import Foundation
import Testing

@testable import LMDB

@Suite struct FileTests {
    let folder = TemporaryFolder()

    private func path(_ name: String) -> String { folder.path + "/" + name }

    @Test func `a new secret is written whole, for its owner to read only`() throws {
        for count in [0, 1, 4_096, 10_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            let file = path("s\(count)")
            try SecretFile.writeNew(path: file, bytes: bytes)
            #expect(try mode(file) == 0o400)
            #expect(try SecretFile.read(path: file, bytesMax: 10_000) == bytes)
            #expect(throws: FileError.exists(path: file)) { try SecretFile.writeNew(path: file, bytes: [1]) }
            #expect(try SecretFile.read(path: file, bytesMax: 10_000) == bytes)
        }
    }

    @Test func `a symlink is followed for reading and never written through`() throws {
        let file = path("target")
        let link = path("link")
        try SecretFile.writeNew(path: file, bytes: [1])
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
        #expect(try SecretFile.read(path: link, bytesMax: 10) == [1])
        #expect(throws: FileError.exists(path: link)) { try SecretFile.writeNew(path: link, bytes: [2]) }
        try SecretFile.replace(path: link, bytes: [3])
        #expect(try SecretFile.read(path: link, bytesMax: 10) == [3])
        #expect(try SecretFile.read(path: file, bytesMax: 10) == [1])
    }

    @Test(arguments: [0o420, 0o460, 0o401, 0o402, 0o404, 0o644, 0o666, 0o777])
    func `a secret that others can reach or the group can write is refused`(_ mode: Int) throws {
        let file = path("open")
        try SecretFile.writeNew(path: file, bytes: [1], mode: UInt32(mode))
        #expect(throws: FileError.tooOpen(path: file, mode: UInt32(mode))) {
            try SecretFile.read(path: file, bytesMax: 10)
        }
    }

    @Test(arguments: [0o400, 0o600, 0o440, 0o640])
    func `a secret of its owner, and one that the group may read, is accepted`(_ mode: Int) throws {
        let file = path("closed")
        try SecretFile.writeNew(path: file, bytes: [1], mode: UInt32(mode))
        #expect(try SecretFile.read(path: file, bytesMax: 10) == [1])
    }

    @Test func `folders, pipes, devices and long or missing files have their own errors`() throws {
        #expect(throws: FileError.notRegular(path: folder.path)) { try SecretFile.read(path: folder.path, bytesMax: 1) }
        let pipe = path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(throws: FileError.notRegular(path: pipe)) { try SecretFile.read(path: pipe, bytesMax: 1) }
        #expect(throws: FileError.notRegular(path: "/dev/zero")) {
            try SecretFile.read(path: "/dev/zero", bytesMax: 1)
        }
        #expect(throws: FileError.absent(path: path("none"))) { try SecretFile.read(path: path("none"), bytesMax: 1) }
        try SecretFile.writeNew(path: path("long"), bytes: [1, 2])
        #expect(throws: FileError.tooLong(path: path("long"), bytesMax: 1)) {
            try SecretFile.read(path: path("long"), bytesMax: 1)
        }
        #expect(throws: FileError.absent(path: path("none/x"))) {
            try SecretFile.writeNew(path: path("none/x"), bytes: [1])
        }
    }

    @Test func `replacing leaves the new content and no temporary file`() throws {
        let file = path("r")
        try SecretFile.replace(path: file, bytes: [1])
        try SecretFile.replace(path: file, bytes: [2, 3], mode: 0o600)
        #expect(try SecretFile.read(path: file, bytesMax: 10) == [2, 3])
        #expect(try mode(file) == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["r"])
        try FileManager.default.createDirectory(atPath: path("d/full"), withIntermediateDirectories: true)
        #expect(throws: FileError.self) { try SecretFile.replace(path: path("d"), bytes: [1]) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["d", "r"])
    }

    @Test func `a folder is created once, with its mode`() throws {
        let new = path("new")
        #expect(try DurableDirectory.create(path: new))
        #expect(try mode(new) == 0o700)
        #expect(try !DurableDirectory.create(path: new, mode: 0o755))
        #expect(try mode(new) == 0o700)
        #expect(throws: FileError.absent(path: path("a/b"))) { try DurableDirectory.create(path: path("a/b")) }
        try SecretFile.writeNew(path: path("file"), bytes: [])
        #expect(throws: FileError.notADirectory(path: path("file"))) {
            try DurableDirectory.create(path: path("file"))
        }
    }

    @Test func `a path's parent is found however the path is written`() {
        for (path, parent) in [
            ("a", "."), ("a/", "."), ("a/b", "a"), ("/a", "/"), ("/a/", "/"), ("/a/b//", "/a"), ("/", "/"), ("", "."),
        ] {
            #expect(DurableDirectory.parent(of: path) == parent)
        }
    }

    private func mode(_ path: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int ?? -1
    }
}
