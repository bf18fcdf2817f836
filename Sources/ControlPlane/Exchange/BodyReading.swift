import AdministrationAPI
import HTTPTypes
import Hummingbird
import NIOCore

extension Request {
    /// The whole body of a request whose head is admitted: only now is a client that waits for `100 Continue` told to
    /// go on (RFC 9110 §10.1.1). One that is refused before gets its final status instead.
    ///
    /// - Throws: `NIOTooManyBytesError` for more than `bytesMax`, without reading it where the head says so.
    func readBody(upTo bytesMax: Int, from peer: Peer) async throws -> ByteBuffer {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > bytesMax {
            throw NIOTooManyBytesError(maxBytes: bytesMax)
        }
        if headers[.expect] != nil {
            // Where the connection has gone, reading the body says so.
            try? await peer.channel.triggerUserOutboundEvent(RequestConnection.BodyWanted())
        }
        return try await body.collect(upTo: bytesMax)
    }
}

extension Route.Body {
    /// Reads the body, held to the route's bound and media type.
    ///
    /// - Throws: ``Problem``, and the connection's error when the caller goes away.
    func read(from request: Request, _ peer: Peer) async throws -> [UInt8] {
        switch self {
        case .none: return []
        case .json(let bytesMax):
            return try await Self.readJSON(request, peer, bytesMax: bytesMax, isOptional: false)
        case .optionalJSON:
            return try await Self.readJSON(
                request, peer, bytesMax: ControlPlaneLimits.bodyBytesMax, isOptional: true)
        }
    }

    private static func readJSON(
        _ request: Request, _ peer: Peer, bytesMax: Int, isOptional: Bool
    ) async throws -> [UInt8] {
        let hasMediaType = isJSON(request.headers[.contentType])
        guard hasMediaType || (isOptional && request.headers[.contentType] == nil) else {
            throw Problem(.unsupportedMediaType, detail: "Send the body as application/json.")
        }
        do {
            let buffer = try await request.readBody(upTo: bytesMax, from: peer)
            guard hasMediaType || buffer.readableBytes == 0 else {
                throw Problem(.unsupportedMediaType, detail: "Send the body as application/json.")
            }
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Problem(.bodyTooLarge, detail: "At most \(bytesMax) bytes are taken here.")
        }
    }

    /// `application/json`, or the merge patch that PATCH takes anyway; no charset but UTF-8.
    private static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        let parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false)
            .map { $0.trimming { $0 == " " || $0 == "\t" } }
        guard let type = parts.first, type == "application/json" || type == "application/merge-patch+json" else {
            return false
        }
        return parts.dropFirst().allSatisfy { $0 == "charset=utf-8" || $0 == "charset=\"utf-8\"" }
    }
}

extension Substring {
    fileprivate func trimming(_ isSpace: (Character) -> Bool) -> Substring {
        var rest = self.drop(while: isSpace)
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return rest
    }
}
