// The entry point that libFuzzer calls (see deploy/proofs/fuzz-wire). Each property holds for every input; a violation
// stops the program, and the fuzzer keeps the input that led there.

import HTTPWire

/// Runs every property on one input.
@_cdecl("LLVMFuzzerTestOneInput")
@unsafe
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // SAFETY: libFuzzer hands over `count` readable bytes that live until this function returns.
    let input = unsafe UnsafeRawBufferPointer(start: start, count: count)
    // A copy of exact size, so that the address sanitizer sees a read one byte too far.
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

/// Stops the program unless the property holds.
func require(_ holds: Bool, _ property: StaticString) {
    if !holds { fatalError("\(property)") }
}

func require(_ range: WireRange, within count: Int) {
    require(Int(range.upper) <= count && range.lower <= range.upper, "a range lies outside the bytes")
}
