import HTTPWire

/// A token review is what a plain reader of JSON takes for one, with the same token and audiences.
func checkTokenReview(_ bytes: [UInt8]) {
    // SAFETY: plain bytes, all of them initialised.
    let body = unsafe bytes.span.bytes
    var form = TokenReviewForm()
    let fault = form.parse(body)
    guard let expected = expectedReview(bytes) else {
        return require(fault != nil, "what is no token review is taken for one")
    }
    require(fault == nil, "a token review is refused")
    require(form.withBytes(of: form.token, in: body, copy) == expected.token, "a token review has another token")
    let audiences = form.audiences.map { form.withBytes(of: $0, in: body, copy) }
    require(audiences == expected.audiences, "a token review has other audiences")
}

private func expectedReview(_ bytes: [UInt8]) -> (token: [UInt8], audiences: [[UInt8]])? {
    guard case .object(let members) = JSONOracle.read(bytes),
        case .string(let version)? = only("apiVersion", of: members),
        ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"].contains(where: { version == Array($0.utf8) }),
        case .string(let kind)? = only("kind", of: members), kind == Array("TokenReview".utf8),
        case .object(let spec)? = only("spec", of: members),
        case .string(let token)? = only("token", of: spec), token.count <= 8_192
    else { return nil }
    let named = spec.filter { $0.name == Array("audiences".utf8) }
    guard named.count <= 1 else { return nil }
    switch named.first?.value {
    case nil, .null: return (token, [])
    case .array(let elements):
        guard elements.count <= TokenReviewForm.audiencesMax else { return nil }
        var audiences: [[UInt8]] = []
        for element in elements {
            guard case .string(let audience) = element, audience.count <= TokenReviewForm.audienceBytesMax else {
                return nil
            }
            audiences.append(audience)
        }
        return (token, audiences)
    case .other, .object, .string: return nil
    }
}

/// The value of a member that is there exactly once.
private func only(_ name: StaticString, of members: [(name: [UInt8], value: JSONValue)]) -> JSONValue? {
    let wanted = Array("\(name)".utf8)
    let found = members.filter { $0.name == wanted }
    return found.count == 1 ? found[0].value : nil
}
