import CredentialDigest
import CredentialModel
import Foundation

// Every node and every member of etcd has a certificate of the fleet's authority. A copy of the store is for nodes only:
// whoever runs etcd is not to read owners and scopes. So a request also shows that its sender has the pepper file. It is
// sent over TLS to a node whose certificate was checked, so nobody else can repeat it; the time bounds what a node that
// lies could do with it.

/// What shows that a request comes from somebody with the fleet's pepper file.
enum PeerProof {
    private static let nonceBytes = 16
    private static let proofBytes = 32
    private static let secondsMax: Int64 = 300
    private static let name = Array("countersign peer request".utf8)

    static func sign(_ request: inout Countersign_Peers_CopyRequest, lookup: TagKey) {
        request.nonce = Data((0..<nonceBytes).map { _ in UInt8.random(in: 0...255) })
        request.time = Int64(Date().timeIntervalSince1970)
        request.proof = Data(code(of: request, lookup).bytes)
    }

    /// - Returns: why the request is refused; nil if it is not.
    static func fault(_ request: Countersign_Peers_CopyRequest, fleet: String, lookup: TagKey) -> String? {
        guard request.nonce.count == nonceBytes, request.proof.count == proofBytes,
            ConstantTime.equal(Tag([UInt8](request.proof).octets, at: 0), code(of: request, lookup)),
            request.fleet == fleet
        else { return "the pepper file or the fleet of the asking node is another one" }
        // Only now: the time is the sender's.
        guard abs(request.time - Int64(Date().timeIntervalSince1970)) <= secondsMax else {
            return "the clocks of the two nodes are more than \(secondsMax) seconds apart"
        }
        return nil
    }

    private static func code(of request: Countersign_Peers_CopyRequest, _ lookup: TagKey) -> Tag {
        var message = name
        message += [0]
        message += Array(request.fleet.utf8)
        message += [0]
        message += [UInt8](request.nonce)
        message += [0] + Array(String(request.time).utf8)
        return SealedMessage.key(lookup, name: message)
    }
}
