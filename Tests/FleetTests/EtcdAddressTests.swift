import Testing

@testable import EtcdEngine

@Suite struct `An address of a fleet` {
    @Test func `names hosts, the fleet, and the files of an identity`() throws {
        let address = try EtcdAddress("etcd://a.example:2379,[::1]:1,10.0.0.1:2/main?ca=/c%20a&cert=/c&key=/k")
        #expect(address.endpoints.map(\.description) == ["a.example:2379", "[::1]:1", "10.0.0.1:2"])
        #expect(address.fleet == "main")
        #expect(address.identity?.authorities == "/c a")
        #expect(address.description == "etcd://a.example:2379,[::1]:1,10.0.0.1:2/main")
    }

    @Test func `needs no identity on this machine`() throws {
        #expect(try EtcdAddress("etcd://127.0.0.1:2379,[::1]:2379,localhost:3/main").identity == nil)
    }

    @Test(arguments: [
        "http://a:1/x", "etcd://a:1", "etcd:///x", "etcd://a/x", "etcd://127.0.0.1:0/x", "etcd://127.0.0.1:1/",
        "etcd://127.0.0.1:1/a/b", "etcd://127.0.0.1:1/ä", "etcd://127.0.0.1:1,/x", "etcd://127.0.0.1:1,127.0.0.1:1/x",
        "etcd://user@127.0.0.1:1/x", "etcd://10.0.0.1:2379/x", "etcd://127.0.0.1:1/x?ca=/c",
        "etcd://127.0.0.1:1/x?ca=/c&cert=/c&key=/k&key=/k", "etcd://127.0.0.1:1/x?password=1",
        "etcd://127.0.0.1:1/x?ca=&cert=/c&key=/k",
    ])
    func `of another form is refused`(text: String) {
        #expect(throws: EtcdAddress.Fault.self) { try EtcdAddress(text) }
    }

    @Test func `versions that can lose data are known`() {
        #expect(EtcdVersion("3.4.23")?.refusal == nil)
        for version in ["3.5.0", "3.5.1", "3.5.2", "3.3.25", "2.3.8", "4.0.0"] {
            #expect(EtcdVersion(version)?.refusal != nil, "\(version)")
        }
        for version in ["3.5.33", "3.6.14", "3.7.0-rc.1"] { #expect(EtcdVersion(version)?.isRecommended == true) }
        for version in ["3.4.23", "3.5.32", "3.6.13"] { #expect(EtcdVersion(version)?.isRecommended == false) }
        for text in ["", "3.5", "3.5.x", "not decided"] { #expect(EtcdVersion(text) == nil) }
    }
}
