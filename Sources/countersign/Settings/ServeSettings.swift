import Configuration
import ControlPlane
import CredentialModel
import DataPlane
import Foundation
import Issuance
import Listening
import Logging
import NIOCore
import RecordCache
import SystemPackage

/// All settings of a daemon, checked. Flag before environment before file.
struct ServeSettings: Sendable {
    var storePath: String
    var mapBytes: Int
    var cacheBytes: Int
    var vendor: Vendor?
    /// Of the data plane, those of gRPC behind the others.
    var listeners: [ListenerAddress]
    var control: ListenerAddress
    /// Network addresses of the control plane.
    var controlNetwork: [ListenerAddress]
    /// Whether administration over the network has its page for people.
    var hasAdminPage: Bool
    /// Nil: there is no authorization server.
    var oauth: OAuthSettings?
    var health: ListenerAddress?
    var threads: Int
    var pepperPath: String
    var identity: TLSIdentity?
    var dataPlane: DataPlaneSettings
    /// Where the policies were read from, to be read again.
    var policyPath: String?
    var lifetimes: LifetimePolicy
    var grants: GrantPolicy
    var logLevel: Logger.Level

    /// The longest path of a Unix socket that the system takes.
    private static let mapBytesMin = 1 << 20

    /// Reads all sources.
    /// - Parameter flags: what stood on the command line, by setting.
    /// - Throws: ``CommandFailure`` that names the setting and what it should be.
    static func read(flags: [Setting: ConfigContent], file: String?) async throws -> ServeSettings {
        try await ServeSettings(SettingsReader(flags: flags, file: file))
    }

    init(_ reader: SettingsReader) throws {
        storePath = Self.normalised(try reader.text(.store) ?? "./countersign-data")
        pepperPath = Self.normalised(try reader.text(.pepperFile) ?? storePath + ".pepper")
        guard !pepperPath.hasPrefix(storePath + "/") else {
            throw reader.fault(.pepperFile, "must not lie in the store's folder: a copy of the store would hold it")
        }
        mapBytes = try reader.number(.storeMapBytes, from: Self.mapBytesMin) ?? 16 << 30
        cacheBytes = try reader.number(.cacheBytes, from: RecordCache.bytesMin) ?? Self.cacheBytesDefault
        vendor = try reader.text(.vendor).map { text in
            guard let vendor = Vendor(text) else { throw reader.fault(.vendor, "must be two lower-case letters") }
            return vendor
        }
        threads = try reader.number(.threads, from: 1, to: 1_024) ?? System.coreCount
        listeners = try (try reader.list(.listen) ?? ["http://127.0.0.1:8080"]).map { try Self.listener($0) }
        listeners += try (try reader.list(.grpcListen) ?? []).map { try Self.listener($0, isGRPC: true) }
        for listener in listeners {
            guard listener.only == nil else {
                throw reader.fault(.listen, "takes no 'only': that is for control-listen")
            }
            try Self.naming { () throws(ListenerAddress.Fault) in try listener.requirePrivate() }
        }
        let controls = try Self.controls(reader, storePath)
        control = controls.socket
        (oauth, controlNetwork) = try OAuthReading(reader).settings(listeners: controls.network)
        hasAdminPage = try reader.truth(.adminPage) ?? false
        guard !hasAdminPage || controlNetwork.contains(where: { $0.only != .oauth }) else {
            throw reader.fault(.adminPage, "needs a control-listen http(s)://HOST:PORT that it is served on")
        }
        health = try reader.text(.healthListen).map { try Self.listener($0) }
        identity = try Self.identity(reader, listeners + controlNetwork + [health].compactMap { $0 })
        dataPlane = try Self.dataPlane(reader)
        policyPath = try reader.text(.policies).map { Self.normalised($0) }
        dataPlane.policies = try Self.policies(policyPath, listeners: listeners)
        lifetimes = LifetimePolicy(
            keySecondsDefault: try reader.number(.keySecondsDefault, from: 1).map(Int64.init),
            keySecondsMax: try reader.number(.keySecondsMax, from: 1).map(Int64.init),
            accessTokenSecondsDefault: Int64(try reader.number(.accessTokenSecondsDefault, from: 1) ?? 3_600),
            accessTokenSecondsMax: Int64(try reader.number(.accessTokenSecondsMax, from: 1) ?? 86_400),
            keyWarningSeconds: Int64(try reader.number(.keyWarningSeconds) ?? 14 * 86_400))
        grants = GrantPolicy(
            refreshIdleSeconds: Int64(try reader.number(.refreshIdleSeconds, from: 1) ?? 30 * 86_400),
            refreshAbsoluteSeconds: Int64(try reader.number(.refreshAbsoluteSeconds, from: 1) ?? 90 * 86_400),
            reuseLeewaySeconds: Int64(try reader.number(.refreshReuseLeeway, to: 60) ?? 0))
        logLevel =
            try reader.text(.logLevel).map { text in
                guard let level = Logger.Level(rawValue: text) else {
                    let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                    throw reader.fault(.logLevel, "must be one of \(known)")
                }
                return level
            } ?? .info
    }

    /// A sixteenth of the memory that this process may use, at most 1 GiB.
    private static var cacheBytesDefault: Int {
        let memory = min(Int(clamping: ProcessInfo.processInfo.physicalMemory), MemoryLimit.current ?? .max)
        return min(max(memory / 16, 16 << 20), 1 << 30)
    }

    private static func normalised(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    private static func listener(_ text: String, isGRPC: Bool = false) throws -> ListenerAddress {
        try naming { () throws(ListenerAddress.Fault) in
            let address = try ListenerAddress(text)
            try address.require(grpc: isGRPC)
            return address
        }
    }

    private static func naming<Value>(_ body: () throws(ListenerAddress.Fault) -> Value) throws -> Value {
        do throws(ListenerAddress.Fault) {
            return try body()
        } catch {
            throw CommandFailure("\(error.description).", status: .usage)
        }
    }

    /// One Unix socket, and any number of network addresses.
    private static func controls(
        _ reader: SettingsReader, _ storePath: String
    ) throws -> (socket: ListenerAddress, network: [ListenerAddress]) {
        let addresses = try (try reader.list(.controlListen) ?? []).map { try listener($0) }
        let sockets = addresses.filter { $0.hostAndPort == nil }
        let network = addresses.filter { $0.hostAndPort != nil }
        guard sockets.count <= 1 else { throw reader.fault(.controlListen, "must name one unix:PATH at most") }
        for address in network { try naming { () throws(ListenerAddress.Fault) in try address.requirePrivate() } }
        return (try sockets.first ?? listener("unix:\(storePath)/control.sock"), network)
    }

    private static func identity(_ reader: SettingsReader, _ listeners: [ListenerAddress]) throws -> TLSIdentity? {
        let certificate = try reader.text(.tlsCertificate)
        let key = try reader.text(.tlsKey)
        let authority = try reader.text(.tlsClientCA)
        guard let certificate, let key else {
            guard certificate == nil, key == nil, authority == nil else {
                throw reader.fault(.tlsCertificate, "and tls-key are needed together")
            }
            guard !listeners.contains(where: \.isEncrypted) else {
                throw reader.fault(.tlsCertificate, "and tls-key are needed by listeners with https:// and grpcs://")
            }
            return nil
        }
        do throws(TLSIdentity.Fault) {
            return try TLSIdentity(certificatePath: certificate, keyPath: key, clientAuthorityPath: authority)
        } catch {
            throw CommandFailure("\(error.description).", status: .usage)
        }
    }

    private static func dataPlane(_ reader: SettingsReader) throws -> DataPlaneSettings {
        var settings = DataPlaneSettings()
        settings.issuer = try reader.text(.issuer)
        settings.realm = try reader.text(.realm) ?? settings.realm
        settings.resourceMetadata = try reader.text(.resourceMetadata)
        settings.connectionsMax = try reader.number(.connectionsMax, from: 1) ?? settings.connectionsMax
        settings.drainSeconds = Int64(try reader.number(.drainSeconds) ?? Int(settings.drainSeconds))
        settings.trustedProxies = try networks(.trustedProxies, reader) ?? settings.trustedProxies
        settings.verifySources = try networks(.verifySources, reader) ?? settings.verifySources
        do {
            try settings.check()
        } catch {
            throw CommandFailure("Settings: \(error.reason).", status: .usage)
        }
        return settings
    }

    /// Reads the policies and holds them against the listeners: all are used, or none.
    static func policies(_ path: String?, listeners: [ListenerAddress]) throws(CommandFailure) -> PolicySet {
        let policies = try path.map { path throws(CommandFailure) in try PolicyFile.read(path) } ?? .none
        do throws(ListFault) {
            try DataPlaneSettings.check(policies, for: listeners)
        } catch {
            throw CommandFailure("Policies: \(error.reason).", status: .usage)
        }
        return policies
    }

    private static func networks(_ setting: Setting, _ reader: SettingsReader) throws -> [Network]? {
        try reader.list(setting)?.map { text in
            guard let network = Network(text) else {
                throw reader.fault(setting, "holds '\(text)', which is no CIDR block")
            }
            return network
        }
    }
}
