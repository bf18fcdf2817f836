import Glibc

/// A file of credentials, one a line, mapped and never read into strings: ten million lines are 670 MB.
@safe package final class CredentialFile: Sendable {
    /// Why a file cannot be used. Lines are named by number; what they hold is a secret.
    package enum Fault: Error, Equatable {
        case unreadable(errno: Int32)
        case empty
        case notWholeLines
        case badLine(number: Int)
    }

    private static let lineBytes = CredentialLayout.byteCount + 1
    // SAFETY: points to a read-only mapping that lives as long as this object.
    private nonisolated(unsafe) let base: UnsafeRawPointer
    private let byteCount: Int
    package let lineCount: Int

    /// Reads each line once to check it, which also brings the file into memory: no send waits for the disk later.
    package init(path: String) throws(Fault) {
        // SAFETY: the path is a terminated string during the call.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(errno: errno) }
        defer { close(descriptor) }
        let size = lseek(descriptor, 0, SEEK_END)
        guard size > 0 else { throw size == 0 ? .empty : .unreadable(errno: errno) }
        guard size % Self.lineBytes == 0 else { throw .notWholeLines }
        // SAFETY: a new private mapping, checked below, that lives until `deinit`.
        guard let mapping = unsafe mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), unsafe mapping != MAP_FAILED
        else { throw .unreadable(errno: errno) }
        // SAFETY: only kept; `bytes` bounds all reading.
        unsafe base = UnsafeRawPointer(mapping)
        byteCount = size
        lineCount = size / Self.lineBytes
        try check()
    }

    deinit {
        // SAFETY: the mapping of `init`; nothing that points into it outlives this object.
        unsafe _ = munmap(UnsafeMutableRawPointer(mutating: base), byteCount)
    }

    /// The whole file.
    private var bytes: UnsafeRawBufferPointer {
        // SAFETY: the mapping has this many bytes and is read-only; a file that is cut while in use ends the process.
        unsafe UnsafeRawBufferPointer(start: base, count: byteCount)
    }

    /// The five bytes that the first credential begins with.
    var prefix: [UInt8] {
        // SAFETY: the file has a line, and all lines are longer.
        unsafe Array(bytes[0..<CredentialLayout.prefixCount])
    }

    /// The letter that tells keys from tokens.
    func kind(line: Int) -> UInt8 {
        precondition(line < lineCount, "no such line")
        // SAFETY: inside the file, by the precondition.
        return unsafe bytes[line * Self.lineBytes + CredentialLayout.kindOffset]
    }

    /// Writes the 66 bytes of a line.
    func copy(line: Int, into target: inout [UInt8], at offset: Int) {
        precondition(line < lineCount && offset + CredentialLayout.byteCount <= target.count, "no such line or no room")
        let start = line * Self.lineBytes
        // SAFETY: both ranges are inside their memory, by the precondition, and do not overlap.
        unsafe target.withUnsafeMutableBytes { target in
            let line = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<start + CredentialLayout.byteCount])
            unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: line)
        }
    }

    private func check() throws(Fault) {
        for line in 0..<lineCount {
            let start = line * Self.lineBytes
            // SAFETY: inside the file.
            let isGood =
                unsafe bytes[start + CredentialLayout.byteCount] == 0x0A
                && bytes[start + CredentialLayout.prefixCount - 1] == CredentialLayout.separator
                && bytes[start + CredentialLayout.separatorOffset] == CredentialLayout.separator
            let kind = kind(line: line)
            guard isGood, kind == CredentialLayout.keyKind || kind == CredentialLayout.bearerKind else {
                throw .badLine(number: line + 1)
            }
        }
    }
}

extension CredentialFile.Fault: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unreadable(let number): "cannot be read: \(Self.text(number))"
        case .empty: "is empty"
        case .notWholeLines: "does not consist of lines of 66 bytes and a newline"
        case .badLine(let number): "has something else than a credential on line \(number)"
        }
    }

    private static func text(_ number: Int32) -> String {
        // SAFETY: strerror returns a terminated string that is copied at once.
        unsafe String(cString: strerror(number))
    }
}
