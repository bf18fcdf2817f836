import CredentialStore
import Foundation
import Issuance
import Listening
import NIOCore
import NIOPosix

/// What `serve` would fail on when it opens things: folders, files, groups, addresses. `serve` itself begins with this, so that
/// all of it is said at once and before anything is made; `config check` does the same.
struct StartChecks {
    let settings: ServeSettings

    struct Report: Sendable {
        /// What stops a start, each in a sentence that names the setting, its value and a remedy.
        var faults: [String] = []
        /// Addresses that another process has now: the daemon itself, where settings are checked beside it.
        var taken: [String] = []
    }

    func run() async -> Report {
        var report = Report()
        report.faults += storeFaults() + mapFaults() + pepperFaults()
        // Of its own: the threads of the shared one would stay for the service's whole life.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        for (listener, setting) in listeners {
            switch listener.transport {
            case .unix(let path): await check(path, of: listener, setting, &report)
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

    // MARK: The store and its peppers

    private var hasStore: Bool { CredentialStore.exists(in: settings.storePath) }

    private func storeFaults() -> [String] {
        let path = settings.storePath
        let name = "Setting \(Setting.store.rawValue): "
        switch FolderState(path) {
        case .usable: return []
        case .notAFolder: return [name + "'\(path)' is a file. Name a folder of the store's own."]
        case .closed: return [name + "this user may not write to '\(path)'. Run as its owner, or change its owner."]
        case .missing:
            let parent = FolderState.parent(of: path)
            switch FolderState(parent) {
            case .usable: return []
            case .missing: return [name + "the folder '\(parent)' for '\(path)' does not exist. Make it first."]
            case .notAFolder: return [name + "'\(parent)' is not a folder."]
            case .closed:
                return [name + "this user may not make '\(path)'. Make the folder and give it to this user."]
            }
        }
    }

    /// The map takes address space from the start, which `ulimit -v` and some containers limit.
    private func mapFaults() -> [String] {
        // SAFETY: the range is not read, and is given back at once; no other memory is concerned.
        let range = unsafe mmap(nil, settings.mapBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let range = unsafe range, unsafe range != MAP_FAILED else {
            let setting = Setting.storeMapBytes.rawValue
            return [
                "Setting \(setting): the system does not give this process \(ByteCount.text(settings.mapBytes)) of address "
                    + "space. Lower it, or raise the limit of ulimit -v."
            ]
        }
        // SAFETY: exactly the range that was mapped above, which nobody else knows.
        unsafe munmap(range, settings.mapBytes)
        return []
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
                    + "Put it back, or name it."
            ]
        }
        let parent = FolderState.parent(of: path)
        // Where both are to be made in one folder, the store's fault says it.
        guard FolderState(parent) == .usable || parent == FolderState.parent(of: settings.storePath) else {
            return [name + "'\(path)' cannot be made: '\(parent)' is no folder that this user may write to."]
        }
        return []
    }

    // MARK: Addresses

    private func check(
        _ path: String, of listener: ListenerAddress, _ setting: Setting, _ report: inout Report
    ) async {
        let name = "Setting \(setting.rawValue) (\(listener)): "
        // The control socket is made in a folder beside its place, whose name is longer by four bytes.
        let most = 107 - (setting == .controlListen ? 4 : 0)
        guard path.utf8.count <= most else {
            report.faults.append(name + "the path has more than \(most) bytes. Choose a shorter one.")
            return
        }
        let folder = FolderState.parent(of: path)
        // The store's folder is made at the start.
        if folder != settings.storePath || hasStore {
            switch FolderState(folder) {
            case .usable: break
            case .missing: report.faults.append(name + "the folder '\(folder)' does not exist. Make it first.")
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
        // Who has the store has this socket too, and the store's lock says more: who it is, and if it is in another container.
        if folder != settings.storePath, (try? await SocketProbe.isListening(path)) == true {
            report.taken.append(name + "another process listens there. Stop it first, or choose another path.")
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
                ? "the name '\(host)' has no address here. Check it, or write the address itself."
                : "the address cannot be opened."
        }
    }
}

/// What a folder is to this process.
private enum FolderState {
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

    static func parent(of path: String) -> String {
        URL(fileURLWithPath: path).deletingLastPathComponent().standardizedFileURL.path
    }
}

/// A group that a socket is to be given to.
private enum Group {
    /// Nil: this process may give a file to it.
    static func fault(_ name: String) -> String? {
        // SAFETY: called once, before the service has threads of its own that could ask for groups; the fields are copied.
        guard let entry = unsafe getgrnam(name) else {
            return "there is no group '\(name)'. Make it (groupadd), or name another."
        }
        let number = unsafe entry.pointee.gr_gid
        if geteuid() == 0 || getegid() == number { return nil }
        var own = [gid_t](repeating: 0, count: 65_536)
        // SAFETY: the buffer has as many places as the call is told.
        let count = Int(unsafe getgroups(Int32(own.count), &own))
        guard own.prefix(max(0, count)).contains(number) else {
            return "this user does not belong to the group '\(name)'. Add it (usermod -aG), or name another."
        }
        return nil
    }
}
