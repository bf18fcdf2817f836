import Configuration
import ControlPlane
import CredentialModel
import CredentialStore
import DataPlane
import ForwardAuth
import Foundation
import Issuance
import Listening
import Logging
import NIOCore
import RecordCache
import SystemPackage

/// All settings of a daemon, checked.
struct ServeSettings: Sendable {
    var storePath: String
    var mapBytes: Int
    /// Folder of the store's log; nil: it has none.
    var logPath: String?
    /// Nil: the store is one of its own.
    var fleet: FleetSettings?
    var cacheBytes: Int
    var vendor: Vendor?
    /// Addresses of the data plane, those of gRPC last.
    var listeners: [ListenerAddress]
    var control: ListenerAddress
    /// Network addresses of the control plane.
    var controlNetwork: [ListenerAddress]
    /// Whether administration over the network includes the page, `/admin`.
    var hasAdminPage: Bool
    /// Nil: there is no authorization server.
    var oauth: OAuthSettings?
    var health: ListenerAddress?
    /// Limit of connections for each listener of the control plane; nil until ``limitConnections(to:_:)``.
    var controlConnectionsMax: Int?
    var threads: Int
    var pepperPath: String
    var identity: TLSIdentity?
    var dataPlane: DataPlaneSettings
    /// The file of the policies, to read it again on SIGHUP.
    var policyPath: String?
    var lifetimes: LifetimePolicy
    var grants: GrantPolicy
    var retention: RetentionPolicy
    var logLevel: Logger.Level
    /// The file of the access log; nil: standard output.
    var accessLogPath: String?
    /// Sentences about names of earlier versions, which are still accepted.
    var notes: [String]

    private static let mapBytesMin = 1 << 20
    /// Half of what a process can address on common 64-bit machines.
    private static let mapBytesMax = 64 << 40

    /// Reads flags, environment and file, each once.
    /// - Throws: ``CommandFailure`` that lists every wrong setting and what it should be.
    static func read(flags: [Setting: ConfigContent], file: String?) async throws -> ServeSettings {
        try await ServeSettings(SettingsReader(flags: flags, file: file))
    }

    /// Continues after a fault, so that all of them are reported at once.
    init(_ reader: SettingsReader) throws {
        let faults = FaultList(reader.faults)
        notes = reader.notes
        let storePath = Self.normalised(faults.value { try reader.text(.store) } ?? "./countersign-data")
        self.storePath = storePath
        let pepperPath = Self.normalised(faults.value { try reader.text(.pepperFile) } ?? storePath + ".pepper")
        self.pepperPath = pepperPath
        if pepperPath.hasPrefix(storePath + "/") {
            faults.add(
                reader.fault(.pepperFile, "must not lie in the store's folder: a copy of the store would hold it"))
        }
        mapBytes =
            faults.value { () throws -> Int? in
                let bytes = try reader.number(.storeMapBytes, from: Self.mapBytesMin)
                if let bytes, bytes > Self.mapBytesMax { throw reader.fault(.storeMapBytes, "must be 64TiB at most") }
                return bytes
            } ?? 16 << 30
        let logPath = faults.value { try reader.text(.storeLog).map { Self.normalised($0) } }
        self.logPath = logPath
        if let logPath, logPath == storePath || logPath.hasPrefix(storePath + "/") {
            faults.add(
                reader.fault(.storeLog, "must not lie in the store's folder: it would be lost together with the store"))
        }
        fleet = FleetSettings(reader, faults)
        if fleet != nil, logPath != nil {
            faults.add(reader.fault(.storeLog, "has no place beside cluster: the fleet's log has every change"))
        }
        cacheBytes =
            faults.value { () throws -> Int? in
                let bytes = try reader.number(.cacheBytes, from: RecordCache.bytesMin)
                if let bytes, bytes > MemoryLimit.bytes {
                    let most = ByteCount.text(MemoryLimit.bytes)
                    throw reader.fault(.cacheBytes, "is more than the \(most) of memory that this process may use")
                }
                return bytes
            } ?? MemoryLimit.cacheBytesDefault
        vendor = faults.value {
            try reader.text(.vendor).map { text in
                guard let vendor = Vendor(text) else { throw reader.fault(.vendor, "must be two lower-case letters") }
                return vendor
            }
        }
        threads = faults.value { try reader.number(.threads, from: 1, to: 1_024) } ?? System.coreCount
        let listeners = Self.listeners(reader, faults)
        self.listeners = listeners
        guard let controls = faults.value({ try Self.controls(reader, storePath, faults) }) else {
            try faults.throwAll()
            throw CommandStatus.usage
        }
        control = controls.socket
        let (oauth, controlNetwork) =
            faults.value { try OAuthSettingsReader(reader).settings(listeners: controls.network) } ?? (
                nil, controls.network
            )
        self.oauth = oauth
        self.controlNetwork = controlNetwork
        let hasAdminPage = faults.value { try reader.truth(.adminPage) } ?? false
        self.hasAdminPage = hasAdminPage
        if hasAdminPage, !controlNetwork.contains(where: { $0.only != .oauth }) {
            faults.add(reader.fault(.adminPage, "needs a control-listen http(s)://HOST:PORT that it is served on"))
        }
        let health = faults.value { try reader.text(.healthListen).map { try Self.listener($0, .healthListen) } }
        self.health = health
        var all = listeners.map { ($0, $0.isGRPC ? Setting.grpcListen : Setting.listen) }
        all += (controlNetwork + [controls.socket]).map { ($0, Setting.controlListen) }
        if let health { all.append((health, Setting.healthListen)) }
        let addresses = all.map { $0.0 }
        Self.checkDistinct(all, faults)
        identity = faults.value { try Self.identity(reader, addresses) }
        var dataPlane = faults.value { try Self.dataPlane(reader) } ?? DataPlaneSettings()
        let sampling = faults.value { () throws -> AccessLog.Sampling? in
            guard let text = try reader.text(.accessLog) else { return nil }
            guard let sampling = AccessLog.Sampling(text) else {
                throw reader.fault(.accessLog, "must be off, errors, all, or 1/N for one request in N")
            }
            return sampling
        }
        if let sampling { dataPlane.accessSampling = sampling }
        let policyPath = faults.value { try reader.text(.policies).map { Self.normalised($0) } }
        self.policyPath = policyPath
        if let policies = faults.value({ try Self.policies(policyPath, listeners: listeners) }) {
            dataPlane.policies = policies
        }
        self.dataPlane = dataPlane
        let lifetimes = LifetimeSettings(reader, faults)
        self.lifetimes = lifetimes.issuance
        grants = lifetimes.grants
        retention = lifetimes.retention
        logLevel =
            faults.value {
                try reader.text(.logLevel).map { text in
                    guard let level = Logger.Level(rawValue: text) else {
                        let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                        throw reader.fault(.logLevel, "must be one of \(known)")
                    }
                    return level
                }
            } ?? .info
        accessLogPath = faults.value { try reader.text(.accessLogFile).map { Self.normalised($0) } }
        try faults.throwAll()
    }

    /// Lowers the limits of connections to the file descriptors that the process may have.
    mutating func limitConnections(to plan: DescriptorPlan, _ logger: Logger) {
        dataPlane.probesMax = min(dataPlane.probesMax, plan.healthMax)
        controlConnectionsMax = plan.controlMax
        guard plan.dataPlaneMax < dataPlane.connectionsMax else { return }
        logger.warning(
            "fewer connections than connections-max can be served: raise the limit of open files (LimitNOFILE, ulimit -n)",
            metadata: [
                "connections-max": .stringConvertible(dataPlane.connectionsMax),
                "held to": .stringConvertible(plan.dataPlaneMax), "open files": .stringConvertible(plan.limit),
            ])
        dataPlane.connectionsMax = plan.dataPlaneMax
    }

    static func normalised(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// - Parameter isPrivate: whether the address must not carry cleartext beyond this machine.
    private static func listener(
        _ text: String, _ setting: Setting, isPrivate: Bool = false
    ) throws(CommandFailure) -> ListenerAddress {
        do throws(ListenerAddress.Fault) {
            let address = try ListenerAddress(text)
            try address.require(grpc: setting == .grpcListen)
            if isPrivate { try address.requirePrivate() }
            return address
        } catch {
            throw CommandFailure("Setting \(setting.rawValue): \(error.description).", status: .usage)
        }
    }

    /// The addresses of the data plane, those of gRPC last.
    private static func listeners(_ reader: SettingsReader, _ faults: FaultList) -> [ListenerAddress] {
        let before = faults.count
        var listeners: [ListenerAddress] = []
        let settings: [(Setting, [String])] = [(.listen, ["http://127.0.0.1:8080"]), (.grpcListen, [])]
        for (setting, usual) in settings {
            for text in faults.value({ try reader.list(setting) }) ?? usual {
                guard let address = faults.value({ try listener(text, setting, isPrivate: true) }) else { continue }
                if address.only != nil {
                    faults.add(reader.fault(setting, "takes no 'only', which is for control-listen"))
                }
                listeners.append(address)
            }
        }
        if listeners.isEmpty, faults.count == before {
            faults.add(reader.fault(.listen, "names no address, and grpc-listen neither: nothing would be served"))
        }
        return listeners
    }

    /// The addresses of the control plane: one Unix socket, and any number of network addresses.
    private static func controls(
        _ reader: SettingsReader, _ storePath: String, _ faults: FaultList
    ) throws -> (socket: ListenerAddress, network: [ListenerAddress]) {
        let texts = faults.value { try reader.list(.controlListen) } ?? []
        let addresses = texts.compactMap { text in
            faults.value { try listener(text, .controlListen, isPrivate: true) }
        }
        let sockets = addresses.filter { $0.hostAndPort == nil }
        let network = addresses.filter { $0.hostAndPort != nil }
        if sockets.count > 1 { faults.add(reader.fault(.controlListen, "must name one unix:PATH at most")) }
        if let socket = sockets.first { return (socket, network) }
        do throws(ListenerAddress.Fault) {
            return (try ListenerAddress("unix:\(storePath)/control.sock"), network)
        } catch {
            let remedy = "choose a shorter folder, or name a shorter control-listen unix:PATH"
            throw reader.fault(.store, "is too long for the control socket in it: \(remedy)")
        }
    }

    /// Reports two listeners with one address: the second could not be opened.
    private static func checkDistinct(_ listeners: [(ListenerAddress, Setting)], _ faults: FaultList) {
        for (index, (address, setting)) in listeners.enumerated() {
            guard let (first, other) = listeners[..<index].first(where: { $0.0.collides(with: address) }) else {
                continue
            }
            faults.add(
                CommandFailure(
                    "Settings \(other.rawValue) (\(first)) and \(setting.rawValue) (\(address)) name one address. "
                        + "Give each listener its own.", status: .usage))
        }
    }

    private static func identity(_ reader: SettingsReader, _ listeners: [ListenerAddress]) throws -> TLSIdentity? {
        let certificate = try reader.text(.tlsCertificate)
        let key = try reader.text(.tlsKey)
        let authority = try reader.text(.tlsClientCA)
        guard let certificate, let key else {
            guard certificate == nil, key == nil, authority == nil else {
                throw CommandFailure(
                    "Settings tls-certificate and tls-key go together, and tls-client-ca needs both.", status: .usage)
            }
            if let listener = listeners.first(where: \.isEncrypted) {
                throw CommandFailure(
                    "Settings tls-certificate and tls-key are needed by the listener \(listener).", status: .usage)
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
        settings.issuer = try OAuthSettingsReader(reader).issuerOfAnswers()
        settings.realm = try reader.text(.realm) ?? settings.realm
        settings.resourceMetadata = try OAuthSettingsReader(reader).resourceMetadata()
        settings.connectionsMax = try reader.number(.connectionsMax, from: 1) ?? settings.connectionsMax
        if let prefix = try reader.text(.tokenReviewUserPrefix) { settings.tokenReviewUserPrefix = Array(prefix.utf8) }
        if let prefix = try reader.text(.tokenReviewGroupPrefix) {
            settings.tokenReviewGroupPrefix = Array(prefix.utf8)
        }
        settings.bufferBytesMax =
            try reader.number(.bufferBytes, from: DataPlaneSettings.bufferBytesMin) ?? MemoryLimit.bufferBytesDefault
        settings.drainSeconds = Int64(try reader.number(.drainSeconds) ?? Int(settings.drainSeconds))
        settings.trustedProxies = try networks(.trustedProxies, reader) ?? settings.trustedProxies
        if let names = try reader.list(.keyHeaders) { settings.keyHeaders = names.map { Array($0.lowercased().utf8) } }
        settings.verifySources = try networks(.verifySources, reader) ?? settings.verifySources
        do {
            try settings.check()
        } catch {
            throw CommandFailure("Settings: \(error.reason).", status: .usage)
        }
        return settings
    }

    /// Reads the policies and checks them against the listeners.
    /// - Throws: ``CommandFailure`` when any of them is wrong; then none is used.
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
                throw reader.fault(setting, "holds '\(text)', which is no CIDR block. Write a network as 10.0.0.0/8")
            }
            return network
        }
    }
}

/// How long credentials are valid and kept. A default above its own maximum is a fault: it would refuse every request that names
/// no lifetime.
private struct LifetimeSettings {
    let issuance: LifetimePolicy
    let grants: GrantPolicy
    let retention: RetentionPolicy

    init(_ reader: SettingsReader, _ faults: FaultList) {
        func seconds(_ setting: Setting, from least: Int = 1, to most: Int = .max) -> Int64? {
            faults.value { try reader.number(setting, from: least, to: most) }.map { Int64(clamping: $0) }
        }
        issuance = LifetimePolicy(
            keySecondsDefault: seconds(.keySecondsDefault), keySecondsMax: seconds(.keySecondsMax),
            accessTokenSecondsDefault: seconds(.accessTokenSecondsDefault) ?? 3_600,
            accessTokenSecondsMax: seconds(.accessTokenSecondsMax) ?? 86_400,
            keyWarningSeconds: seconds(.keyWarningSeconds, from: 0) ?? 14 * 86_400)
        grants = GrantPolicy(
            refreshIdleSeconds: seconds(.refreshIdleSeconds) ?? 30 * 86_400,
            refreshAbsoluteSeconds: seconds(.refreshAbsoluteSeconds) ?? 90 * 86_400,
            reuseLeewaySeconds: seconds(.refreshReuseLeeway, from: 0, to: 60) ?? 0)
        retention = RetentionPolicy(
            tokenSeconds: seconds(.retentionTokenSeconds, from: 0, to: 86_400) ?? 900,
            keySeconds: seconds(.retentionKeySeconds, from: 0) ?? 7 * 86_400,
            backupSeconds: seconds(.retentionBackupSeconds, from: 86_400) ?? 400 * 86_400,
            journalSeconds: seconds(.retentionJournalSeconds, from: 60) ?? 7 * 86_400,
            journalPercent: faults.value { try reader.number(.retentionJournalPercent, from: 1, to: 50) } ?? 10,
            logSeconds: seconds(.retentionLogSeconds, from: 86_400) ?? 35 * 86_400)
        let pairs: [(Setting, Int64?, Setting, Int64?)] = [
            (.keySecondsDefault, issuance.keySecondsDefault, .keySecondsMax, issuance.keySecondsMax),
            (
                .accessTokenSecondsDefault, issuance.accessTokenSecondsDefault, .accessTokenSecondsMax,
                issuance.accessTokenSecondsMax
            ),
            (
                .refreshIdleSeconds, grants.refreshIdleSeconds, .refreshAbsoluteSeconds, grants.refreshAbsoluteSeconds
            ),
        ]
        for (low, value, high, limit) in pairs {
            guard let value, let limit, value > limit else { continue }
            faults.add(
                CommandFailure(
                    "Setting \(low.rawValue) (\(value)) must not exceed \(high.rawValue) (\(limit)).", status: .usage))
        }
    }
}
