import Foundation

/// What this program proves itself with: a client of the service with the right to `introspect`, and for the cache to
/// `changes` as well. It prints itself as `<redacted>`.
///
/// ```
/// countersign client create --name orders --may introspect --may changes --json > /etc/orders/client.json
/// ```
public struct ClientCredentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Why a file cannot be used. Holds its name, never its content.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// The value of the Authorization field (RFC 7617).
    let authorization: String

    /// Reads the line that `countersign client create --json` printed.
    /// - Throws: ``Fault`` for a file that cannot be read, that everybody may read or write, or that is no such line.
    public init(contentsOfFile path: String) throws(Fault) {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: Self.resolved(path)),
            let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue,
            let data = FileManager.default.contents(atPath: path)
        else { throw Fault(description: "\(path) cannot be read") }
        guard mode & 0o007 == 0 else { throw Fault(description: "\(path) is open to everybody: chmod o= it") }
        guard let line = try? JSONDecoder().decode(Line.self, from: data), Self.isPlain(line.id),
            Self.isPlain(line.secret)
        else { throw Fault(description: "\(path) does not hold what countersign client create --json prints") }
        let pair = Data("\(line.id):\(line.secret)".utf8)
        authorization = "Basic " + pair.base64EncodedString()
    }

    private struct Line: Decodable {
        let id: String
        let secret: String

        private enum CodingKeys: String, CodingKey {
            case id = "client_id"
            case secret = "client_secret"
        }
    }

    private static func resolved(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }

    /// Ids and secrets have these characters only, so that no encoding of them is ever in doubt.
    private static func isPlain(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
