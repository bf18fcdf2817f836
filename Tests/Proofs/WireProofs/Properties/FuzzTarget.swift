import HTTPWire

// The entry point for libFuzzer. Each property must be true for every input. A violation stops the program, and the
// fuzzer stores the input that caused it.
//
// deploy/proofs/fuzz-wire compiles this folder by itself, with libFuzzer's `main`: so nothing here may use SwiftNIO or
// declarations of the folder beside it.

/// Runs every property on one input.
@_cdecl("LLVMFuzzerTestOneInput")
@unsafe
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // SAFETY: libFuzzer passes `count` readable bytes that live until this function returns.
    let input = unsafe UnsafeRawBufferPointer(start: start, count: count)
    // An exact copy, so that the address sanitizer detects a read beyond the end.
    let bytes = unsafe [UInt8](input)
    checkAll(bytes)
    return 0
}

/// The same for an input that is an array.
public func checkAll(_ bytes: [UInt8]) {
    checkRequests(bytes)
    checkForm(bytes)
    checkAuthorization(bytes)
    checkQuery(bytes)
    checkWriter(bytes)
    checkVerifyForm(bytes)
    checkTokenReview(bytes)
    checkCheckRequest(bytes)
    checkCheckRequest(builtCheckRequest(bytes))
}

/// Stops the program unless the property is true.
func require(_ holds: Bool, _ property: StaticString) {
    if !holds { fatalError("\(property)") }
}

func require(_ range: WireRange, within count: Int) {
    require(Int(range.upper) <= count && range.lower <= range.upper, "a range lies outside the bytes")
}

/// The extractor and the general parser see the same form.
func checkForm(_ bytes: [UInt8]) {
    // SAFETY: plain bytes, all of them initialised.
    let body = unsafe bytes.span.bytes
    var pairs: [(name: [UInt8], value: [UInt8])] = []
    var fault: FormFault?
    var fields = FormFields()
    fields.begin(body)
    walk: while true {
        switch fields.next(in: body) {
        case .end: break walk
        case .fault(let found):
            fault = found
            require(fields.next(in: body) == .end, "a fault is followed by another result")
            break walk
        case .pair(let name, let value):
            pairs.append((fields.withBytes(of: name, in: body, copy), fields.withBytes(of: value, in: body, copy)))
        }
    }
    var form = IntrospectionForm()
    require(form.parse(body) == fault, "two form parsers disagree on a fault")
    guard fault == nil else { return }
    for pair in pairs {
        require(String(validating: pair.name, as: UTF8.self) != nil, "a name is not UTF-8")
        require(String(validating: pair.value, as: UTF8.self) != nil, "a value is not UTF-8")
    }
    let names: [(IntrospectionForm.Parameter, String)] = [
        (.token, "token"), (.tokenTypeHint, "token_type_hint"), (.clientID, "client_id"),
        (.clientSecret, "client_secret"), (.clientIP, "client_ip"), (.scope, "scope"),
    ]
    for (parameter, name) in names {
        // A parameter without a value counts as omitted.
        let values = pairs.filter { $0.name == Array(name.utf8) && !$0.value.isEmpty }.map(\.value)
        require(form.count(parameter) == min(values.count, 2), "a parameter is counted wrongly")
        require(form.withValue(parameter, in: body, copy) == values.first, "a parameter has another value")
    }
}

/// What is accepted as a credential has the form of one.
func checkAuthorization(_ bytes: [UInt8]) {
    // SAFETY: plain bytes, all of them initialised.
    let value = unsafe bytes.span.bytes
    _ = MediaType.parse(value)
    var basic = BasicCredentials()
    switch AuthorizationField.parse(value) {
    case .bearer(let range), .apiKey(let range), .basic(let range):
        require(range, within: bytes.count)
        checkCredential(copy(value.slice(range)))
    case .unsupported:
        require(bytes.allSatisfy { $0 < 0x80 }, "an unsupported scheme contains non-ASCII bytes")
    case .malformed: break
    }
    guard basic.parse(value) else { return }
    basic.withCredentials { clientID, secret in
        require(clientID.byteCount > 0, "a client has no identifier")
        require(copy(clientID).allSatisfy(isText), "an identifier contains a control byte")
        require(copy(secret).allSatisfy(isText), "a secret contains a control byte")
    }
    basic.wipe()
    basic.withCredentials { require($0.byteCount == 0 && $1.byteCount == 0, "credentials are left after a wipe") }
}

private func isText(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F }

private func checkCredential(_ credential: [UInt8]) {
    require((1...8_192).contains(credential.count), "a credential is too long or empty")
    require(credential.first != UInt8(ascii: "="), "a credential begins with =")
    require(
        credential.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") },
        "a credential contains a forbidden byte")
}

/// A URI from which the credential was removed has none, and one that had none is unchanged.
func checkQuery(_ bytes: [UInt8]) {
    // SAFETY: plain bytes, all of them initialised.
    let uri = unsafe bytes.span.bytes
    let parts = OriginalURI(uri)
    require(parts.path, within: bytes.count)
    require(parts.query ?? WireRange(), within: bytes.count)
    var finder = QueryCredential()
    var found = QueryFinding.absent
    if let query = parts.query {
        found = finder.find(in: uri.slice(query))
        if case .one(let text) = found {
            checkCredential(finder.withBytes(of: text, in: uri.slice(query), copy))
            require(finder.rawName, within: query.count)
        }
    }
    let stripped = written(capacity: bytes.count) { $0.append(uriWithoutCredential: uri, headerEncoded: false) }
    guard let stripped else { fatalError("removing a credential lengthened the URI") }
    if found == .absent { require(stripped == bytes.prefix { $0 != UInt8(ascii: "#") }, "a clean URI was changed") }
    // SAFETY: plain bytes, all of them initialised.
    let again = unsafe stripped.span.bytes
    if let query = OriginalURI(again).query {
        require(finder.find(in: again.slice(query)) == .absent, "a credential is left after its removal")
    }
    let encoded = written(capacity: 3 * bytes.count + 3) { $0.append(uriWithoutCredential: uri, headerEncoded: true) }
    checkHeaderValue(encoded)
}

/// Escaped text is safe in its context, and no writer exceeds its memory.
func checkWriter(_ bytes: [UInt8]) {
    // SAFETY: plain bytes, all of them initialised.
    let text = unsafe bytes.span.bytes
    checkHeaderValue(written(capacity: 3 * bytes.count + 3) { $0.append(headerEncoded: text) })
    let escaped = written(capacity: 6 * bytes.count) { $0.append(jsonEscaped: text) }
    guard let escaped, let string = String(validating: escaped, as: UTF8.self) else {
        fatalError("an escaped string is not UTF-8")
    }
    require(string.unicodeScalars.allSatisfy { $0.value >= 0x20 }, "an escaped string contains a control character")
    checkRoundTrip(bytes, escaped: escaped)
    let capacity = Int(bytes.first ?? 0)
    let fits = written(capacity: capacity) { $0.append(jsonEscaped: text) }
    require((fits != nil) == (escaped.count <= capacity), "a writer overflows at the wrong size")
    if let fits { require(fits == escaped, "the capacity changes what a writer writes") }
}

private func checkHeaderValue(_ value: [UInt8]?) {
    guard let value else { fatalError("a header value is longer than it can be") }
    require(!value.isEmpty && value.allSatisfy { (0x21...0x7E).contains($0) }, "a header value has a forbidden byte")
}

/// What `write` appends to memory of `capacity` bytes; `nil` if it does not fit. The byte after them must not change.
func written(capacity: Int, _ write: (inout ByteWriter) -> Void) -> [UInt8]? {
    var memory = [UInt8](repeating: 0xA5, count: capacity + 1)
    var count = 0
    var overflowed = false
    // SAFETY: the writer does not leave the closure, and nothing else uses the array meanwhile.
    unsafe memory.withUnsafeMutableBytes { whole in
        var writer = unsafe ByteWriter(UnsafeMutableRawBufferPointer(rebasing: whole[..<capacity]))
        write(&writer)
        count = writer.written
        overflowed = writer.overflowed
    }
    require(memory[capacity] == 0xA5, "a writer exceeds its memory")
    require(count <= capacity, "a writer counts wrongly")
    return overflowed ? nil : Array(memory.prefix(count))
}
