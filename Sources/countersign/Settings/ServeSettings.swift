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
    /// Connections of each listener of the control plane.
    var controlConnectionsMax: Int?
    var threads: Int
    var pepperPath: String
    var identity: TLSIdentity?
    var dataPlane: DataPlaneSettings
    /// Where the policies were read from, to be read again.
    var policyPath: String?
    var lifetimes: LifetimePolicy
    var grants: GrantPolicy
    var retention: RetentionPolicy
    var logLevel: Logger.Level
    /// Names of earlier versions that are still taken, each in a sentence.
    var notes: [String]

    private static let mapBytesMin = 1 << 20
    /// Half of what a process can address on the usual 64-bit machines.
    private static let mapBytesMax = 64 << 40

    /// Reads all sources.
    /// - Parameter flags: what stood on the command line, by setting.
    /// - Throws: ``CommandFailure`` that says of every setting that is wrong what it should be.
    static func read(flags: [Setting: ConfigContent], file: String?) async throws -> ServeSettings {
        try await ServeSettings(SettingsReader(flags: flags, file: file))
    }

    /// Goes on behind what is wrong, so that all of it is said at once.
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
        cacheBytes =
            faults.value { () throws -> Int? in
                let bytes = try reader.number(.cacheBytes, from: RecordCache.bytesMin)
                if let bytes, bytes > Self.memoryBytes {
                    let most = ByteCount.text(Self.memoryBytes)
                    throw reader.fault(.cacheBytes, "is more than the \(most) of memory that this process may use")
                }
                return bytes
            } ?? Self.cacheBytesDefault
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
            faults.value { try OAuthReading(reader).settings(listeners: controls.network) } ?? (nil, controls.network)
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
        let policyPath = faults.value { try reader.text(.policies).map { Self.normalised($0) } }
        self.policyPath = policyPath
        if let policies = faults.value({ try Self.policies(policyPath, listeners: listeners) }) {
            dataPlane.policies = policies
        }
        self.dataPlane = dataPlane
        let lives = Lives(reader, faults)
        lifetimes = lives.lifetimes
        grants = lives.grants
        retention = lives.retention
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
        try faults.throwAll()
    }

    /// Lowers what needs more descriptors than the process may have.
    mutating func hold(to plan: DescriptorPlan, _ logger: Logger) {
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

    /// A sixteenth of the memory that this process may use, at most 1 GiB.
    private static var cacheBytesDefault: Int { min(max(memoryBytes / 16, 16 << 20), 1 << 30) }

    /// A sixteenth as well.
    private static var bufferBytesDefault: Int { max(memoryBytes / 16, DataPlaneSettings.bufferBytesMin) }

    /// Of the machine, or of the container if that has less.
    private static var memoryBytes: Int {
        min(Int(clamping: ProcessInfo.processInfo.physicalMemory), MemoryLimit.current ?? .max)
    }

    private static func normalised(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// - Parameter isPrivate: whether cleartext may not leave the machine.
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

    /// Those of the data plane, those of gRPC behind the others.
    private static func listeners(_ reader: SettingsReader, _ faults: FaultList) -> [ListenerAddress] {
        let before = faults.count
        var listeners: [ListenerAddress] = []
        let settings: [(Setting, [String])] = [(.listen, ["http://127.0.0.1:8080"]), (.grpcListen, [])]
        for (setting, usual) in settings {
            for text in faults.value({ try reader.list(setting) }) ?? usual {
                guard let address = faults.value({ try listener(text, setting, isPrivate: true) }) else { continue }
                if address.only != nil {
                    faults.add(reader.fault(setting, "takes no 'only': that is for control-listen"))
                }
                listeners.append(address)
            }
        }
        if listeners.isEmpty, faults.count == before {
            faults.add(reader.fault(.listen, "names no address, and grpc-listen neither: nothing would be served"))
        }
        return listeners
    }

    /// One Unix socket, and any number of network addresses.
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

    /// Two listeners at one address: the second could not be opened.
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
        settings.issuer = try OAuthReading(reader).issuerOfAnswers()
        settings.realm = try reader.text(.realm) ?? settings.realm
        settings.resourceMetadata = try OAuthReading(reader).resourceMetadata()
        settings.connectionsMax = try reader.number(.connectionsMax, from: 1) ?? settings.connectionsMax
        if let prefix = try reader.text(.tokenReviewUserPrefix) { settings.tokenReviewUserPrefix = Array(prefix.utf8) }
        if let prefix = try reader.text(.tokenReviewGroupPrefix) {
            settings.tokenReviewGroupPrefix = Array(prefix.utf8)
        }
        settings.bufferBytesMax =
            try reader.number(.bufferBytes, from: DataPlaneSettings.bufferBytesMin) ?? bufferBytesDefault
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

/// How long credentials live. Defaults that exceed their own limit would refuse every request that names no life.
private struct Lives {
    let lifetimes: LifetimePolicy
    let grants: GrantPolicy
    let retention: RetentionPolicy

    init(_ reader: SettingsReader, _ faults: FaultList) {
        func seconds(_ setting: Setting, from least: Int = 1, to most: Int = .max) -> Int64? {
            faults.value { try reader.number(setting, from: least, to: most) }.map { Int64(clamping: $0) }
        }
        lifetimes = LifetimePolicy(
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
            journalPercent: faults.value { try reader.number(.retentionJournalPercent, from: 1, to: 50) } ?? 10)
        let pairs: [(Setting, Int64?, Setting, Int64?)] = [
            (.keySecondsDefault, lifetimes.keySecondsDefault, .keySecondsMax, lifetimes.keySecondsMax),
            (
                .accessTokenSecondsDefault, lifetimes.accessTokenSecondsDefault, .accessTokenSecondsMax,
                lifetimes.accessTokenSecondsMax
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

/// Collects what is wrong with the settings, so that a person mends all of it in one go.
final class FaultList {
    private var faults: [CommandFailure]

    init(_ faults: [CommandFailure]) { self.faults = faults }

    var count: Int { faults.count }

    func add(_ fault: CommandFailure) {
        if !faults.contains(fault) { faults.append(fault) }
    }

    /// The value, or nil and one fault more.
    func value<Value>(_ body: () throws -> Value?) -> Value? {
        do {
            return try body()
        } catch let fault as CommandFailure {
            add(fault)
        } catch {
            add(CommandFailure("The settings cannot be read: \(type(of: error)).", status: .usage))
        }
        return nil
    }

    /// - Throws: one ``CommandFailure`` that says all of them.
    func throwAll() throws(CommandFailure) {
        guard let first = faults.first else { return }
        guard faults.count > 1 else { throw first }
        let lines = faults.map { "\n  - \($0.message)" }.joined()
        throw CommandFailure("\(faults.count) things are wrong with the settings:\(lines)", status: first.status)
    }
}
