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
    /// - Parameter mediaType: what a caller who sent something else is told to send.
    /// - Throws: ``Problem``, and the connection's error when the caller goes away.
    func read(from request: Request, _ peer: Peer, mediaType: String) async throws -> [UInt8] {
        let (bytesMax, isOptional): (Int, Bool)
        switch self {
        case .none: return []
        case .json(let limit): (bytesMax, isOptional) = (limit, false)
        case .optionalJSON: (bytesMax, isOptional) = (ControlPlaneLimits.bodyBytesMax, true)
        }
        let wrongType = Problem(.unsupportedMediaType, detail: "Send the body as \(mediaType).")
        let isJSON = Self.isJSON(request.headers[.contentType])
        guard isJSON || (isOptional && request.headers[.contentType] == nil) else { throw wrongType }
        do {
            let buffer = try await request.readBody(upTo: bytesMax, from: peer)
            guard isJSON || buffer.readableBytes == 0 else { throw wrongType }
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Problem(.bodyTooLarge, detail: "At most \(bytesMax) bytes are taken here.")
        }
    }

    /// Whether a body is JSON, a merge patch included: most programs send an edit as `application/json`. No charset but
    /// UTF-8.
    private static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        let parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false)
            .map { $0.trimming { $0 == " " || $0 == "\t" } }
        guard let type = parts.first, type == StrictJSON.mediaType || type == StrictJSON.patchMediaType else {
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
