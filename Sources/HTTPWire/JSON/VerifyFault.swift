/// Why a body does not ask for verdicts.
public enum VerifyFault: Error, Equatable, Hashable, Sendable {
    /// More than ``VerifyForm/bodyBytesMax`` bytes.
    case bodyTooLarge
    /// The body is no JSON text.
    case notJSON(JSONFault)
    /// The body is another JSON value than an object.
    case notAnObject
    /// A member comes more than once: readers differ in which one they take (RFC 8259 §4).
    case repeated(VerifyForm.Member)
    /// A member has a value of another kind than it must have.
    case wrongType(VerifyForm.Member)
    /// A string, or a string of an array, is longer than ``VerifyForm/Member/bytesMax``.
    case tooLong(VerifyForm.Member)
    /// An element of `credentials` is no string.
    case elementIsNoString
    /// `credentials` is empty.
    case noElements
    /// `credentials` has more than ``VerifyForm/credentialsMax`` elements.
    case tooManyElements
    /// Both `credential` and `credentials`.
    case bothMembers
    /// Neither `credential` nor `credentials`.
    case neitherMember

    /// The status to answer with.
    public var status: UInt16 {
        switch self {
        case .bodyTooLarge, .tooManyElements: 413
        default: 400
        }
    }

    /// What is wrong and what would be right, for the body of the refusal and the log; reflects nothing of the input.
    public var reason: StaticString {
        switch self {
        case .bodyTooLarge: "the body is larger than 1,048,576 bytes; send the credentials in several requests"
        case .notJSON(let fault): fault.reason
        case .notAnObject: "the body is not a JSON object"
        case .repeated(let member): member.repeatedReason
        case .wrongType(let member): member.wrongTypeReason
        case .tooLong(let member): member.tooLongReason
        case .elementIsNoString: "an element of credentials is not a string"
        case .noElements: "credentials is empty; it takes 1 to 1,000 strings"
        case .tooManyElements: "credentials has more than 1,000 elements; send them in several requests"
        case .bothMembers: "credential and credentials exclude each other; send one of them"
        case .neitherMember: "credential or credentials is missing"
        }
    }
}

extension VerifyForm.Member {
    fileprivate var repeatedReason: StaticString {
        switch self {
        case .credential: "credential comes more than once; several go into one array named credentials"
        case .credentials: "credentials comes more than once"
        case .scope: "scope comes more than once; several scopes go into one string, parted by spaces"
        case .audience: "audience comes more than once"
        case .clientIP: "client_ip comes more than once"
        }
    }

    fileprivate var wrongTypeReason: StaticString {
        switch self {
        case .credential: "credential is not a string"
        case .credentials: "credentials is not an array"
        case .scope: "scope is not a string; several scopes are parted by spaces, and none is told by leaving it out"
        case .audience: "audience is not a string; none is told by leaving it out"
        case .clientIP: "client_ip is not a string; none is told by leaving it out"
        }
    }

    fileprivate var tooLongReason: StaticString {
        switch self {
        case .credential: "credential is longer than 8,192 bytes"
        case .credentials: "an element of credentials is longer than 8,192 bytes"
        case .scope: "scope is longer than 4,096 bytes"
        case .audience: "audience is longer than 512 bytes"
        case .clientIP: "client_ip is longer than 64 bytes"
        }
    }
}
