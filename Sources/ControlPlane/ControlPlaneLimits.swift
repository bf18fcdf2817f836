import HummingbirdCore
import NIOCore

/// The bounds on everything that comes from outside.
enum ControlPlaneLimits {
    static let headBytesMax = 16 * 1_024
    static let fieldsMax = 64
    static let bodyBytesMax = 1_024 * 1_024
    static let importBodyBytesMax = 8 * 1_024 * 1_024
    static let connectionsMax = 256
    static let idleSeconds: Int64 = 120
    /// From the end of the head to the end of the body.
    static let bodyDeadlineSeconds: Int64 = 10
    static let idempotencyKeyBytesMax = 255
    static let backupChunkBytes = 256 * 1_024

    /// What every connection is held to.
    static var connections: HTTP1Channel.Configuration {
        HTTP1Channel.Configuration(
            additionalChannelHandlers: [BodyDeadline(.seconds(bodyDeadlineSeconds))],
            idleTimeout: .seconds(idleSeconds),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: headBytesMax, maxHeaderListSize: headBytesMax, maxHeaderFieldCount: fieldsMax))
    }
}
