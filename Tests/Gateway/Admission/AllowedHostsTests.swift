import Testing

@testable import Gateway

struct AllowedHostsTests {
    /// No browser sends these. Python's urlparse accepts some of them; here they are refused unless "*" is allowed.
    private static let stricter: Set<String> = [
        "//example.com", " https://example.com", "https://.example.com", "https://example.com:abc",
        "https://example.com:99999",
        "https://example.com:-1", "https://example.com:+443", "https://example.com:4_43", "https://example.com:443:80",
        "http://[::1]x",
    ]

    @Test(arguments: OriginVectors.lists.indices)
    func `Every Origin is judged as channels judges it`(index: Int) {
        let (allowed, missing, answers) = OriginVectors.lists[index]
        let hosts = AllowedHosts(allowed)
        #expect(hosts.allows(origin: nil, host: "other.example") == missing)
        for (origin, answer) in zip(OriginVectors.origins, answers) {
            let expected = allowed.contains("*") || (answer == "+" && !Self.stricter.contains(origin))
            #expect(hosts.allows(origin: origin, host: "other.example") == expected, "\(origin) under \(allowed)")
        }
    }

    @Test func `There are enough of both answers for the comparison to mean something`() {
        #expect(OriginVectors.lists.allSatisfy { $0.answers.count == OriginVectors.origins.count })
        let all = OriginVectors.lists.map(\.answers).joined()
        #expect(all.count { $0 == "+" } > 200)
        #expect(all.count { $0 == "-" } > 2000)
    }

    @Test(arguments: [
        ("https://example.com", "example.com", true), ("http://example.com:8000", "example.com", true),
        ("https://EXAMPLE.com", "example.COM:8443", true), ("http://[::1]:80", "[::1]:8001", true),
        ("http://127.0.0.1:8001", "127.0.0.1:8001", true), ("https://sub.example.com", "example.com", false),
        ("https://example.com.evil.com", "example.com", false), ("https://example.com@evil.com", "example.com", false),
        ("null", "example.com", false), ("", "example.com", false), ("https://", "", false),
        ("https://evil.com", "", false),
        ("file:///x", "", false), ("http://[::2]", "[::1]", false), ("https://evil.com", "example.com@evil.com", false),
    ])
    func `Without a list the Origin's host must be the request's own`(origin: String, host: String, isAllowed: Bool) {
        #expect(AllowedHosts([]).allows(origin: origin, host: host) == isAllowed)
    }

    @Test func `Without a list a missing Origin is refused`() {
        #expect(!AllowedHosts([]).allows(origin: nil, host: "example.com"))
    }

    /// Otherwise a mistake in the list would act like an empty list, which has a different meaning.
    @Test(arguments: ["http://[::1", "", "[::1", "https://"])
    func `A list with nothing readable in it lets nobody in`(pattern: String) {
        let hosts = AllowedHosts([pattern])
        #expect(!hosts.allows(origin: "https://example.com", host: "example.com"))
        #expect(!hosts.allows(origin: nil, host: "example.com"))
    }

    /// FAULTS S2.
    @Test(arguments: [
        "https://app.example.evil.com", "https://evilapp.example", "null", "http://app.example",
        "https://app.example:8443",
        "https://app.example.", "", "https://app.example@evil.com", "https://app.example\\.evil.com",
    ])
    func `The tricks of the catalogue are refused under an exact Origin`(origin: String) {
        #expect(!AllowedHosts(["https://app.example"]).allows(origin: origin, host: "app.example"))
        #expect(AllowedHosts(["https://app.example"]).allows(origin: "HTTPS://APP.EXAMPLE:443", host: "app.example"))
    }
}
