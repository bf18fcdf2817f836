import EnvoyAuthorization
import ForwardAuth
import HTTPWire
import Verification

/// Room that one request after another uses anew, so that none of them allocates.
///
/// It is handed down as one `inout` value: that nothing in it is read while it is changed is then known when this is
/// compiled, where variables of an object are looked after at run time, each time one of them is touched.
struct RequestScratch: ~Copyable {
    /// The credential that was verified last, and decoded texts.
    var judging = JudgingScratch()
    var form = IntrospectionForm()
    var basic = BasicCredentials()
    var verdictForm = VerifyForm()
    var batch: VerificationBatch
    var check: CheckRequest

    init(verifier: Verifier, keyHeaders: [[UInt8]]) {
        check = CheckRequest(keyHeaders: keyHeaders)
        batch = verifier.makeBatch()
    }
}
