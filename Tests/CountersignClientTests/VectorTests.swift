import Foundation
import HTTPTypes
import Testing

@testable import CountersignClient
@testable import CountersignHummingbird

/// The vectors that the clients of all languages have in common.
@Suite struct `The vectors of all clients` {
    private struct Vectors: Decodable {
        struct Presented: Decodable {
            let fields: [String]
            let query: String
            let `is`: String
            let text: String?
            let rest: String?
        }
        struct Position: Decodable {
            let field: String
            let incarnation: String?
            let number: UInt64?
        }
        struct Challenge: Decodable {
            let status: Int
            let field: String?
        }
        let credentials: [Presented]
        let positions: [Position]
        let challenges: [String: Challenge]
    }

    private let vectors: Vectors

    init() throws {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try Data(contentsOf: package.appending(path: "deploy/clients/vectors.json"))
        vectors = try JSONDecoder().decode(Vectors.self, from: data)
    }

    @Test func `say what the credential of a request is`() throws {
        #expect(vectors.credentials.count > 20)
        // A server of this library never sees others.
        for vector in vectors.credentials where vector.fields.allSatisfy(HTTPField.isValidValue) {
            var fields = HTTPFields()
            for field in vector.fields { fields.append(HTTPField(name: .authorization, value: field)) }
            let target = vector.query.isEmpty ? "/" : "/?" + vector.query
            let place: Comment = "\(vector.fields) \(vector.query)"
            switch RequestCredential(fields, target: target) {
            case .none: #expect(vector.is == "none", place)
            case .malformed: #expect(vector.is == "malformed", place)
            case .one(let credential, let kind):
                #expect(vector.is == (kind == .apiKey ? "ApiKey" : "Bearer") && credential.text == vector.text, place)
            }
            if let rest = vector.rest {
                #expect(QueryKey.removed(from: target) == (rest.isEmpty ? "/" : "/?" + rest), place)
            }
        }
    }

    @Test func `say what an answer's position in the change feed is`() {
        for vector in vectors.positions {
            let position = ChangePosition(vector.field)
            #expect(position?.incarnation == vector.incarnation && position?.number == vector.number, "\(vector.field)")
        }
    }

    @Test func `say which challenges are sent`() {
        let space = ProtectionSpace(realm: "api")
        #expect(space.challenge() == vectors.challenges["missing"]?.field)
        #expect(space.challenge(", error=\"invalid_token\"") == vectors.challenges["invalid"]?.field)
        #expect(space.challenge(", error=\"invalid_request\"") == vectors.challenges["malformed"]?.field)
    }
}
