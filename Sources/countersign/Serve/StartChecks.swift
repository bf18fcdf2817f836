import CredentialStore
import Foundation
import Issuance
import Listening
import NIOCore
import NIOPosix

/// Finds what `serve` would fail on when it opens folders, files and addresses. `serve` begins with these checks, so that all faults
/// are reported at once and before anything is created. `config check` runs the same ones.
struct StartChecks {
    let settings: ServeSettings

    struct Report: Sendable {
        /// What prevents a start: sentences that name the setting, its value and a remedy.
        var faults: [String] = []
        /// Addresses that another process uses now. That may be the running daemon itself.
        var taken: [String] = []
    }

    func run() async -> Report {
        var report = Report()
        report.faults += storeFaults() + logFaults() + mapFaults() + pepperFaults() + accessLogFaults()
        // A group of its own, which ends here. The threads of the shared one would stay.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        for (listener, setting) in listeners {
            switch listener.transport {
            case .unix(let path): check(path, of: listener, setting, &report)
            case .http(let host, let port), .https(let host, let port):
                await check(host, port, "Setting \(setting.rawValue) (\(listener)): ", group, &report)
            }
        }
        try? await group.shutdownGracefully()
        return report
    }

    private var listeners: [(ListenerAddress, Setting)] {
        settings.listeners.map { ($0, $0.isGRPC ? .grpcListen : .listen) }
            + ([settings.control] + settings.controlNetwork).map { ($0, .controlListen) }
            + [settings.health].compactMap { $0 }.map { ($0, .healthListen) }
    }

    // MARK: The store, its log and its peppers

    private var hasStore: Bool { CredentialStore.exists(in: settings.storePath) }

    private func storeFaults() -> [String] {
        folderFaults(settings.storePath, .store, content: "the store")
    }

    /// A first start opens the log after it has created the pepper file.
    private func logFaults() -> [String] {
        guard let path = settings.logPath else { return [] }
        let (real, store) = (FolderState.resolved(path), FolderState.resolved(settings.storePath))
        guard real != store, !real.hasPrefix(store + "/") else {
            let name = "Setting \(Setting.storeLog.rawValue): "
            return [
                name + "'\(path)' leads into the store's folder, with which it would be lost. Name a folder elsewhere."
            ]
        }
        if FolderState(path) == .missing, isReportedForStore(FolderState.parent(of: path)) { return [] }
        return folderFaults(path, .storeLog, content: "the log")
    }

    /// Why files cannot be created in a folder, which is itself created when only its parent exists.
    private func folderFaults(_ path: String, _ setting: Setting, content: String) -> [String] {
        let name = "Setting \(setting.rawValue): "
        switch FolderState(path) {
        case .usable:
            // Its lock is for one user, and a folder of somebody else can be taken away at any time.
            guard let owner = FolderState.owner(of: path), owner != geteuid() else { return [] }
            return [
                name + "the folder '\(path)' belongs to uid \(owner). Run as that user, or change its owner (chown)."
            ]
        case .notAFolder: return [name + "'\(path)' is a file. Name a folder for \(content) alone."]
        case .closed: return [name + "this user may not write to '\(path)'. Run as its owner, or change its owner."]
        case .missing:
            let parent = FolderState.parent(of: path)
            switch FolderState(parent) {
            case .usable: return []
            case .missing: return [name + "the folder '\(parent)' for '\(path)' does not exist. Create it first."]
            case .notAFolder: return [name + "'\(parent)' is not a folder."]
            case .closed:
                return [
                    name + "this user may not create '\(path)'. Create the folder and give it to this user (chown)."
                ]
            }
        }
    }

    /// Whether the store's folder is to be created in this folder too, so that its fault names it.
    private func isReportedForStore(_ parent: String) -> Bool {
        parent == FolderState.parent(of: settings.storePath) && FolderState(settings.storePath) == .missing
    }

    /// The whole map takes address space from the start, which `ulimit -v` limits.
    private func mapFaults() -> [String] {
        // SAFETY: a new anonymous range, which is not read and is unmapped below.
        let range = unsafe mmap(nil, settings.mapBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let range = unsafe range, unsafe range != MAP_FAILED else {
            let setting = Setting.storeMapBytes.rawValue
            return [
                "Setting \(setting): the system does not give this process \(ByteCount.text(settings.mapBytes)) of address "
                    + "space. Lower it, or raise the limit of ulimit -v."
            ]
        }
        // SAFETY: exactly the range that was mapped above, to which nothing else has a pointer.
        unsafe munmap(range, settings.mapBytes)
        return []
    }

    /// Without creating it: the user who asks need not be the one that the service runs as.
    private func accessLogFaults() -> [String] {
        guard let path = settings.accessLogPath else { return [] }
        let name = "Setting \(Setting.accessLogFile.rawValue): "
        let files = FileManager.default
        if FolderState(path) != .missing, FolderState(path) != .notAFolder { return [name + "'\(path)' is a folder."] }
        if files.fileExists(atPath: path) {
            return files.isWritableFile(atPath: path) ? [] : [name + "this user may not write to '\(path)'."]
        }
        let parent = FolderState.parent(of: path)
        switch FolderState(parent) {
        case .usable: return []
        case .missing: return [name + "the folder '\(parent)' does not exist. Create it first."]
        case .notAFolder: return [name + "'\(parent)' is not a folder."]
        case .closed:
            return [name + "this user may not create '\(path)'. Create the file and give it to this user (chown)."]
        }
    }

    private func pepperFaults() -> [String] {
        let path = settings.pepperPath
        let name = "Setting \(Setting.pepperFile.rawValue): "
        if FileManager.default.fileExists(atPath: path) {
            do throws(IssuanceError) {
                _ = try PepperFileOnDisk.read(path)
                return []
            } catch {
                return [name + "\(error.message)."]
            }
        }
        guard !hasStore else {
            return [
                name + "'\(path)' does not exist, and the store in '\(settings.storePath)' is worthless without it. "
                    + "Restore the file from its backup, or name the right one."
            ]
        }
        let parent = FolderState.parent(of: path)
        guard FolderState(parent) == .usable || isReportedForStore(parent) else {
            return [name + "'\(path)' cannot be made: '\(parent)' is no folder that this user may write to."]
        }
        return []
    }

    // MARK: Addresses

    private func check(
        _ path: String, of listener: ListenerAddress, _ setting: Setting, _ report: inout Report
    ) {
        let name = "Setting \(setting.rawValue) (\(listener)): "
        // The control socket is created in a folder beside its place, with a path that is four bytes longer.
        let pathBytesMax = 107 - (setting == .controlListen ? 4 : 0)
        guard path.utf8.count <= pathBytesMax else {
            report.faults.append(name + "the path has more than \(pathBytesMax) bytes. Choose a shorter one.")
            return
        }
        let folder = FolderState.parent(of: path)
        // `serve` creates the store's folder.
        if folder != settings.storePath || hasStore {
            switch FolderState(folder) {
            case .usable: break
            case .missing: report.faults.append(name + "the folder '\(folder)' does not exist. Create it first.")
            case .notAFolder: report.faults.append(name + "'\(folder)' is not a folder.")
            case .closed:
                report.faults.append(name + "this user may not write to the folder '\(folder)'. Change its owner.")
            }
        }
        if let group = listener.group, let fault = Group.fault(group) { report.faults.append(name + fault) }
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard let type = attributes?[.type] as? FileAttributeType else { return }
        guard type == .typeSocket else {
            report.faults.append(
                name + "a file that is no socket is in its place. Move it away, or choose another path.")
            return
        }
        // Not for a socket in the store's folder: the lock of the store says more, such as who holds it.
        guard folder != settings.storePath else { return }
        do throws(UnixSocketFile.Fault) {
            guard try UnixSocketFile.isListening(path) else { return }
            report.taken.append(name + "another process listens there. Stop it first, or choose another path.")
        } catch {
            report.faults.append(name + "\(error.description).")
        }
    }

    private func check(
        _ host: String, _ port: Int, _ name: String, _ group: MultiThreadedEventLoopGroup, _ report: inout Report
    ) async {
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: host, port: port).get()
            try? await channel.close()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            report.taken.append(name + "another process has this port. Stop it first, or choose another port.")
        } catch {
            report.faults.append(name + Self.reason(of: error, host))
        }
    }

    private static func reason(of error: any Error, _ host: String) -> String {
        switch (error as? IOError)?.errnoCode {
        case EACCES, EPERM:
            "this user may not use a port below 1024. Choose a higher one, or give the process CAP_NET_BIND_SERVICE."
        case EADDRNOTAVAIL: "no interface of this machine has the address \(host). Choose one that it has, or 0.0.0.0."
        case EAFNOSUPPORT: "this machine has no IPv6. Choose an IPv4 address."
        case EMFILE, ENFILE: "no more files can be opened. Raise the limit (LimitNOFILE, ulimit -n)."
        default:
            error is SocketAddressError
                ? "the name '\(host)' does not resolve to an address. Check it, or write the address itself."
                : "the address cannot be opened."
        }
    }
}

/// Whether this process can create files in a folder.
private enum FolderState {
    /// `closed`: this user may not write to it.
    case usable, missing, notAFolder, closed

    init(_ path: String) {
        var isFolder: ObjCBool = false
        // SAFETY: `isFolder` is a local out-parameter.
        guard unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            self = .missing
            return
        }
        self = !isFolder.boolValue ? .notAFolder : FileManager.default.isWritableFile(atPath: path) ? .usable : .closed
    }

    /// The uid that a folder belongs to.
    static func owner(of path: String) -> uid_t? {
        var info = stat()
        // SAFETY: the path is NUL-terminated during the call; `info` is a local out-parameter.
        return unsafe stat(path, &info) == 0 ? info.st_uid : nil
    }

    /// Without symbolic links.
    static func resolved(_ path: String) -> String { URL(fileURLWithPath: path).resolvingSymlinksInPath().path }

    static func parent(of path: String) -> String {
        URL(fileURLWithPath: path).deletingLastPathComponent().standardizedFileURL.path
    }
}

/// The group of a socket.
private enum Group {
    /// - Returns: nil when this process may give a file to the group.
    static func fault(_ name: String) -> String? {
        // SAFETY: runs before the service has threads that could call it too; the field is copied below.
        guard let entry = unsafe getgrnam(name) else {
            return "there is no group '\(name)'. Create it (groupadd), or name another."
        }
        let number = unsafe entry.pointee.gr_gid
        if geteuid() == 0 || getegid() == number { return nil }
        var own = [gid_t](repeating: 0, count: 65_536)
        // SAFETY: the buffer has the number of elements that the call is given.
        let count = Int(unsafe getgroups(Int32(own.count), &own))
        guard own.prefix(max(0, count)).contains(number) else {
            return "this user does not belong to the group '\(name)'. Add it (usermod -aG), or name another."
        }
        return nil
    }
}
