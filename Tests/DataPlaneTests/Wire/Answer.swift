import CredentialModel
import Foundation
import NIOCore
import NIOSSL
import NIOTLS

/// One HTTP response, exactly as received.
struct Answer: Sendable {
    let bytes: [UInt8]
    let version: String
    let status: Int
    let reason: String
    let fields: [(name: String, value: String)]
    let body: [UInt8]

    struct Malformed: Error {
        let what: String
    }

    /// Parses the response at the front of `bytes`, strictly. Nil while bytes are missing.
    /// - Parameter isHead: whether it answers HEAD, so that it has no body.
    init?(reading bytes: [UInt8], isHead: Bool) throws {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8))?.lowerBound else { return nil }
        let head = bytes[..<end]
        guard head.allSatisfy({ $0 == 13 || $0 == 10 || (0x20...0x7E).contains($0) }) else {
            throw Malformed(what: "the head is not ASCII")
        }
        let lines = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")
        guard !lines.contains(where: { $0.contains("\r") || $0.contains("\n") || $0.isEmpty }) else {
            throw Malformed(what: "a line has no proper end")
        }
        let status = lines[0].split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard status.count == 3, let code = Int(status[1]), (100...599).contains(code) else {
            throw Malformed(what: "status line: \(lines[0])")
        }
        version = status[0]
        self.status = code
        reason = status[2]
        fields = try lines.dropFirst().map { line in
            guard let colon = line.firstIndex(of: ":") else { throw Malformed(what: "field: \(line)") }
            return (String(line[..<colon]), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
        let lengths = fields.filter { $0.name.lowercased() == "content-length" }
        var length = 0
        if code >= 200 {
            guard lengths.count == 1, let stated = Int(lengths[0].value) else { throw Malformed(what: "length") }
            length = isHead ? 0 : stated
        }
        let start = end + 4
        guard bytes.count >= start + length else { return nil }
        body = Array(bytes[start..<start + length])
        self.bytes = Array(bytes[..<(start + length)])
    }

    /// All values of a field.
    func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The value of a field that is present exactly once.
    subscript(name: String) -> String? {
        let values = values(name)
        return values.count == 1 ? values[0] : nil
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// Everything but what may differ between two equal responses.
    var withoutDate: String {
        String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
            .filter { !$0.hasPrefix("Date: ") }.joined(separator: "\r\n")
    }

    /// Its `Date`, if it is in the preferred format of RFC 9110 §5.6.7.
    var date: UnixSeconds? {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "GMT")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        guard let text = self["Date"], let time = format.date(from: text), format.string(from: time) == text else {
            return nil
        }
        return UnixSeconds(Int64(time.timeIntervalSince1970))
    }

    /// The body, parsed by an independent JSON parser.
    func json() throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
            throw Malformed(what: "no object")
        }
        return object
    }

    /// Whether an introspection reported an active credential.
    var isActive: Bool { status == 200 && text.hasPrefix("{\"active\":true,") }
    var isInactive: Bool { status == 200 && text == "{\"active\":false}" }
}

/// Collects received bytes and returns them as responses, on the event loop of the connection.
final class AnswerReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    struct NoAnswer: Error {
        let received: String
    }

    private var received: [UInt8] = []
    private var isEnded = false
    private var waiting: (isHead: Bool, promise: EventLoopPromise<Answer?>)?
    private var reading: (mark: [UInt8], promise: EventLoopPromise<String?>)?
    private var ending: EventLoopPromise<[UInt8]>?
    private let secured: EventLoopPromise<Void>

    /// Long enough for a busy machine; reached only if a response never arrives.
    private static let patience = TimeAmount.seconds(45)

    init(secured: EventLoopPromise<Void>) {
        self.secured = secured
    }

    func next(isHead: Bool, on eventLoop: any EventLoop) -> EventLoopFuture<Answer?> {
        let promise = eventLoop.makePromise(of: Answer?.self)
        waiting = (isHead, promise)
        let late = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            promise.fail(NoAnswer(received: String(decoding: self.received, as: UTF8.self)))
        }
        promise.futureResult.whenComplete { _ in late.cancel() }
        serve()
        return promise.futureResult
    }

    /// The bytes up to and including a marker; nil if the peer has closed before that.
    func text(until mark: String, on eventLoop: any EventLoop) -> EventLoopFuture<String?> {
        let promise = eventLoop.makePromise(of: String?.self)
        reading = (Array(mark.utf8), promise)
        let late = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            promise.fail(NoAnswer(received: String(decoding: self.received, as: UTF8.self)))
        }
        promise.futureResult.whenComplete { _ in late.cancel() }
        serve()
        return promise.futureResult
    }

    /// All bytes that were not returned, after the peer has closed.
    func rest(on eventLoop: any EventLoop) -> EventLoopFuture<[UInt8]> {
        let promise = eventLoop.makePromise(of: [UInt8].self)
        ending = promise
        let late = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            promise.fail(NoAnswer(received: "not closed: " + String(decoding: self.received, as: UTF8.self)))
        }
        promise.futureResult.whenComplete { _ in late.cancel() }
        serve()
        return promise.futureResult
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.append(contentsOf: unwrapInboundIn(data).readableBytesView)
        serve()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event { secured.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        secured.fail(error)
        // A reset after the peer has closed its side counts as closed.
        context.close(promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        isEnded = true
        secured.fail(ChannelError.eof)
        serve()
    }

    private func serve() {
        if let (isHead, promise) = waiting {
            do {
                if let answer = try Answer(reading: received, isHead: isHead) {
                    received.removeFirst(answer.bytes.count)
                    waiting = nil
                    promise.succeed(answer)
                } else if isEnded {
                    waiting = nil
                    guard received.isEmpty else { throw Answer.Malformed(what: "the answer is cut off") }
                    promise.succeed(nil)
                }
            } catch {
                waiting = nil
                promise.fail(error)
            }
        }
        if let (mark, promise) = reading {
            if let end = received.firstRange(of: mark)?.upperBound {
                reading = nil
                let text = String(decoding: received[..<(end - mark.count)], as: UTF8.self)
                received.removeFirst(end)
                promise.succeed(text)
            } else if isEnded {
                reading = nil
                promise.succeed(nil)
            }
        }
        if isEnded, let promise = ending {
            ending = nil
            promise.succeed(received)
            received = []
        }
    }
}
