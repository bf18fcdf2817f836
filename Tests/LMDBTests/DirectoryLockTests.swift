import Foundation
import Testing

@testable import LMDB

@Suite struct DirectoryLockTests {
    @Test func `a folder has one owner at a time, also within a process`() throws {
        let folder = TemporaryFolder()
        let lock = try DirectoryLock(directory: folder.path)
        #expect(throws: DirectoryLockError.heldBy(pid: getpid())) { try DirectoryLock(directory: folder.path) }
        lock.release()
        lock.release()
        let again = try DirectoryLock(directory: folder.path)
        withExtendedLifetime(again) {}
    }

    @Test func `a lock that is dropped is free`() throws {
        let folder = TemporaryFolder()
        var lock: DirectoryLock? = try DirectoryLock(directory: folder.path)
        #expect(throws: DirectoryLockError.heldBy(pid: getpid())) { try DirectoryLock(directory: folder.path) }
        withExtendedLifetime(lock) {}
        lock = nil
        #expect(throws: Never.self) { try DirectoryLock(directory: folder.path) }
    }

    @Test func `another process's lock names it, and ends with it`() throws {
        let folder = TemporaryFolder()
        let probe = try Probe("hold-lock", folder.path)
        #expect(throws: DirectoryLockError.heldBy(pid: probe.pid)) { try DirectoryLock(directory: folder.path) }
        try DirectoryLock.requireSharedNamespace(directory: folder.path)
        probe.kill()
        _ = try DirectoryLock(directory: folder.path)
    }

    @Test func `an owner in another PID namespace is recognised`() throws {
        let folder = TemporaryFolder()
        let probe = try Probe("hold-lock", folder.path)
        let record = OwnerRecord(pid: 1, namespace: 42)
        try Data(record.text.utf8).write(to: URL(fileURLWithPath: folder.path + "/owner.lock"), options: [])
        #expect(throws: DirectoryLockError.foreignPIDNamespace) { try DirectoryLock(directory: folder.path) }
        #expect(throws: DirectoryLockError.foreignPIDNamespace) {
            try DirectoryLock.requireSharedNamespace(directory: folder.path)
        }
        #expect(DirectoryLockError.foreignPIDNamespace.description.contains("shared process namespace"))
        probe.kill()
        // Nobody has the lock any more, so its record is outdated.
        try DirectoryLock.requireSharedNamespace(directory: folder.path)
        let lock = try DirectoryLock(directory: folder.path)
        let text = try String(contentsOfFile: folder.path + "/owner.lock", encoding: .utf8)
        let namespace = try #require(OwnerRecord.ownNamespace)
        #expect(OwnerRecord(parsing: text) == OwnerRecord(pid: getpid(), namespace: namespace))
        lock.release()
    }

    @Test func `a folder that is missing or another user's is refused`() throws {
        let folder = TemporaryFolder()
        #expect(throws: DirectoryLockError.absent) { try DirectoryLock(directory: folder.path + "/none") }
        // `/` belongs to root; when the tests run as root, the folder is given to somebody else.
        if geteuid() == 0 {
            #expect(chown(folder.path, 12_345, 12_345) == 0)
            #expect(throws: DirectoryLockError.notOwner(uid: 12_345)) { try DirectoryLock(directory: folder.path) }
        } else {
            #expect(throws: DirectoryLockError.notOwner(uid: 0)) { try DirectoryLock(directory: "/") }
        }
    }

    @Test func `a damaged record means a holder without a process id`() {
        for text in ["", "pid", "pid x\npid-namespace 4\n", "pid 5\n", "pid 99999999999\npid-namespace 4\n"] {
            #expect(OwnerRecord(parsing: text) == nil)
        }
        #expect(OwnerRecord(parsing: "pid 5\npid-namespace 4\n") == OwnerRecord(pid: 5, namespace: 4))
    }

    @Test func `reading a store without an owner needs no permission`() throws {
        let folder = TemporaryFolder()
        try DirectoryLock.requireSharedNamespace(directory: folder.path)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
}
