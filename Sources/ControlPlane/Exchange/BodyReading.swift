import AdministrationAPI
import HTTPTypes
import Hummingbird
import NIOCore

extension Route.Body {
    /// Reads the body, held to the route's bound and media type.
    ///
    /// - Throws: ``Problem``, and the connection's error when the caller goes away.
    func read(from request: Request) async throws -> [UInt8] {
        switch self {
        case .none: return []
        case .json(let bytesMax): return try await Self.readJSON(request, bytesMax: bytesMax, isOptional: false)
        case .optionalJSON:
            return try await Self.readJSON(request, bytesMax: ControlPlaneLimits.bodyBytesMax, isOptional: true)
        }
    }

    private static func readJSON(_ request: Request, bytesMax: Int, isOptional: Bool) async throws -> [UInt8] {
        let tooLarge = Problem(.bodyTooLarge, detail: "At most \(bytesMax) bytes are taken here.")
        let hasMediaType = isJSON(request.headers[.contentType])
        guard hasMediaType || (isOptional && request.headers[.contentType] == nil) else {
            throw Problem(.unsupportedMediaType, detail: "Send the body as application/json.")
        }
        // Told too much beforehand: refused without reading it.
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > bytesMax { throw tooLarge }
        do {
            let buffer = try await request.body.collect(upTo: bytesMax)
            guard hasMediaType || buffer.readableBytes == 0 else {
                throw Problem(.unsupportedMediaType, detail: "Send the body as application/json.")
            }
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw tooLarge
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
