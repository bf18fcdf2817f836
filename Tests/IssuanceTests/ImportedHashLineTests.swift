import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import TestSupport
import Testing

private func text(_ text: String) -> SecretText { SecretText(Array(text.utf8)) }

/// SHA-256 and SHA-512 of `legacy_4f6e8a1b2c3d4e5f`, by `sha256sum` and `sha512sum`.
private let sha256 = "7bbc80aca48471d552a513cc47c0c50f1479d00cc4147ba8d8b90f089f22588c"
private let sha512 =
    "d17bd1611b1672fd70000b21c250ba54fd62c2bf21f3a1de5799b2c409b683d41fe4b3e6421d07f5f4ffd0e7d5e09387ae1c5f3dc09b216789d96aaf3638bb60"

private func base64(_ hex: String) -> String {
    var bytes: [UInt8] = []
    var rest = hex[...]
    while let byte = UInt8(rest.prefix(2), radix: 16) {
        bytes.append(byte)
        rest = rest.dropFirst(2)
    }
    return Data(bytes).base64EncodedString()
}

private func url(_ base64: String) -> String {
    base64.replacing("+", with: "-").replacing("/", with: "_")
}

@Suite struct `A line with a hash` {
    private let key = "legacy_4f6e8a1b2c3d4e5f"

    @Test func `is the same hash in each encoding`() async throws {
        let fixture = try Fixture()
        for (hex, isLong) in [(sha256, false), (sha512, true)] {
            let standard = base64(hex)
            let bare = standard.replacing("=", with: "")
            let spellings = [
                hex, hex.uppercased(), standard, bare, url(standard), url(bare),
                String(hex.enumerated().map { $0 % 2 == 0 ? Character($1.uppercased()) : $1 }),
            ]
            for (index, spelling) in spellings.enumerated() {
                let form: ImportedForm = isLong ? .sha512(text(spelling)) : .sha256(text(spelling))
                let report = try await fixture.issuer.importKeys([ImportLine(form, request: KeyRequest(owner: "o"))])
                #expect(report.imported.count == (index == 0 ? 1 : 0) && report.existing.count == (index == 0 ? 0 : 1))
            }
        }
        #expect(try fixture.verifier().verdict(key, at: UnixSeconds(1)).isActive)
    }

    @Test func `that is not a hash is refused, and its text is not in the message`() async throws {
        let fixture = try Fixture(pepperLines: ["hmac billing 00ff"])
        let standard = base64(sha256)
        // The last digit has two unused bits.
        let stray = String(standard.dropLast(2)) + "B"
        let bad: [String] = [
            "", "00", String(sha256.dropLast()), "\(sha256)0", " \(sha256.dropLast())", "\(sha256.dropLast())g",
            "0x\(sha256.dropLast(2))", "\(sha256)=", "\(standard)=", "\(standard.dropLast())A", stray, "\(stray)=",
            String(repeating: "0", count: 64), String(repeating: "A", count: 43), String(standard.dropLast(2)),
            sha512, base64(sha512), "+-\(standard.dropFirst(2))", "é\(sha256.dropFirst(2))",
            "\(sha256.prefix(32))\n\(sha256.dropFirst(33))",
        ]
        var forms: [ImportedForm] = [.sha512(text(sha256)), .sha512(text(String(repeating: "0", count: 128)))]
        for spelling in bad {
            forms.append(.sha256(text(spelling)))
            forms.append(.hmacSHA256(text(spelling), keyName: "billing"))
        }
        let lines = forms.map { ImportLine($0, request: KeyRequest(owner: "o")) }
        let report = try await fixture.issuer.importKeys(lines)
        #expect(report.imported.isEmpty && report.refused.count == forms.count)
        for refusal in report.refused {
            #expect(["sha256: ", "sha512: ", "hmac_sha256: "].contains { refusal.reason.hasPrefix($0) })
            #expect(!refusal.reason.contains(sha256.prefix(8)) && !refusal.reason.contains(standard.prefix(8)))
        }
        #expect(fixture.store.published.foreignSchemes.isEmpty)
    }

    @Test func `under an HMAC key that is not in the pepper file is refused, and its name is not in the message`()
        async throws
    {
        let fixture = try Fixture(pepperLines: ["hmac billing 00ff"])
        for name in ["Billing", "", "00ff", "the_secret_itself"] {
            let line = ImportLine(.hmacSHA256(text(sha256), keyName: name), request: KeyRequest(owner: "o"))
            let reason = try #require(try await fixture.issuer.importKeys([line]).refused.first?.reason)
            #expect(reason.hasPrefix("hmac_key_name: ") && !reason.contains("00ff") && !reason.contains("itself"))
        }
    }

    @Test func `under the wrong HMAC key can be imported again under the right one`() async throws {
        let fixture = try Fixture(pepperLines: ["hmac one 00ff", "hmac two 00ee"])
        for name in ["one", "two"] {
            let line = ImportLine(.hmacSHA256(text(sha256), keyName: name), request: KeyRequest(owner: "o"))
            #expect(try await fixture.issuer.importKeys([line]).imported.count == 1)
        }
    }
}

@Suite struct `An HMAC key that imported keys need` {
    private func pepperLines(_ fixture: Fixture) throws -> [Substring] {
        try String(decoding: PepperFileOnDisk.read(fixture.pepperPath).serialized(), as: UTF8.self)
            .split(separator: "\n")
    }

    private func write(_ lines: [Substring], _ fixture: Fixture) throws {
        try FixtureFile.replace(fixture.pepperPath, Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    private func importing(_ fixture: Fixture, _ name: String) async throws {
        let line = ImportLine(.hmacSHA256(text(sha256), keyName: name), request: KeyRequest(owner: "o"))
        #expect(try await fixture.issuer.importKeys([line]).imported.count == 1)
    }

    private func failure(_ fixture: Fixture) -> StoreFailure? {
        do {
            fixture.close()
            _ = try fixture.reopened()
            return nil
        } catch {
            return error as? StoreFailure
        }
    }

    @Test func `must be in the file at the start, unchanged`() async throws {
        let fixture = try Fixture(pepperLines: ["hmac billing 00ff", "hmac other 11"])
        try await importing(fixture, "billing")
        let lines = try pepperLines(fixture)
        try write(lines.filter { !$0.hasPrefix("hmac billing") }, fixture)
        #expect(failure(fixture) == .hmacKeyMissing(name: "billing"))
        #expect(StoreFailure.hmacKeyMissing(name: "billing").description.contains("'billing'"))
        try write(lines.map { $0.hasPrefix("hmac billing") ? "hmac billing 00fe" : $0 }, fixture)
        #expect(failure(fixture) == .hmacKeyDiffers(name: "billing"))
        // Its position in the file does not matter, and a key that no import used may be removed.
        try write(["hmac aaa 22"] + lines.filter { !$0.hasPrefix("hmac other") }.reversed(), fixture)
        #expect(failure(fixture) == nil)
        let again = try fixture.reopened()
        #expect(try again.verifier().verdict("not_the_key_at_all_0123", at: UnixSeconds(1)).reason == .malformed)
    }

    @Test func `stays in the file when peppers are added and retired`() async throws {
        let fixture = try Fixture(pepperLines: ["hmac billing 00ff"])
        _ = try await fixture.issuer.addPepper()
        try await fixture.issuer.retirePepper(1)
        #expect(try pepperLines(fixture).contains("hmac billing 00ff"))
        #expect(try PepperFileOnDisk.read(fixture.pepperPath).peppers.map(\.number) == [2])
    }

    @Test func `is needed by a backup too`() async throws {
        let fixture = try Fixture(pepperLines: ["hmac billing 00ff"])
        try await importing(fixture, "billing")
        try fixture.backup(toFile: fixture.folder("backup"))
        let lines = try pepperLines(fixture)
        fixture.close()
        try write(lines.filter { !$0.hasPrefix("hmac") }, fixture)
        let bare = try PepperFileOnDisk.read(fixture.pepperPath)
        #expect(throws: StoreFailure.hmacKeyMissing(name: "billing")) {
            _ = try Replacing.restore(fixture.folder("backup"), fixture, bare, nil)
        }
    }
}
