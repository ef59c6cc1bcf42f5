import Testing

@testable import Gateway

/// Where tokens are looked for.
struct TokenLocationTests {
    private func find(
        _ uri: String = "/", _ headers: [(String, String)] = [], query: String? = "token", cookie: String? = "jwt"
    ) -> Result<String, LoginFailure> {
        var location = TokenLocation()
        location.query = query
        location.cookie = cookie
        do throws(LoginFailure) {
            return .success(try location.token(LoginRequest(uri: uri, headers)))
        } catch {
            return .failure(error)
        }
    }

    @Test(arguments: [
        ("/", [("Authorization", "Bearer a.b.c")]), ("/", [("authorization", "bearer  a.b.c ")]),
        ("/", [("Sec-WebSocket-Protocol", "bearer.a.b.c")]),
        ("/", [("Sec-WebSocket-Protocol", "chat, bearer.a.b.c , other")]),
        ("/", [("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "bearer.a.b.c")]),
        ("/?token=a.b.c", []), ("/x?a=1&token=a.b.c&b", []), ("/?token=a%2eb%2Ec", []),
        ("/", [("Cookie", "jwt=a.b.c")]), ("/", [("Cookie", "x=1; jwt=a.b.c; y=2")]),
        ("/", [("Cookie", "jwt=\"a.b.c\"")]), ("/", [("Cookie", "theme=dark"), ("Cookie", "jwt=a.b.c")]),
        ("/", [("Authorization", "Basic eDp5"), ("Cookie", "jwt=a.b.c")]),
        ("/?tokens=x&xtoken=y", [("Cookie", "jwt=a.b.c")]),
    ])
    func `It is found in each of its places`(uri: String, headers: [(String, String)]) {
        #expect(find(uri, headers) == .success("a.b.c"))
    }

    @Test func `What was put there on purpose goes before a cookie`() {
        let all = [("Authorization", "Bearer 1"), ("Sec-WebSocket-Protocol", "bearer.2"), ("Cookie", "jwt=4")]
        #expect(find("/?token=3", all) == .success("1"))
        #expect(find("/?token=3", Array(all[1...])) == .success("2"))
        #expect(find("/?token=3", Array(all[2...])) == .success("3"))
        #expect(find("/", Array(all[2...])) == .success("4"))
    }

    @Test(arguments: [
        (
            "/", [("Authorization", "Bearer 1"), ("Authorization", "Bearer 2")],
            "there are several Authorization headers"
        ),
        ("/", [("Sec-WebSocket-Protocol", "bearer.1, bearer.2")], "there are several bearer subprotocols"),
        ("/?token=1&token=2", [], "there are several tokens in the query"),
        ("/", [], "there is no token"), ("/?tokens=1", [("Cookie", "JWT=1")], "there is no token"),
        ("/", [("Authorization", "Bearer")], "there is no token"),
    ])
    func `None and several are refused`(uri: String, headers: [(String, String)], why: String) {
        #expect(find(uri, headers) == .failure(.refused(why)))
    }

    @Test func `Query and cookie can be switched off`() {
        #expect(find("/?token=1", query: nil) == .failure(.refused("there is no token")))
        #expect(find("/", [("Cookie", "jwt=1")], cookie: nil) == .failure(.refused("there is no token")))
        #expect(find("/?access=1", query: "access") == .success("1"))
    }
}

/// Cookies, read as Django does.
struct RequestCookiesTests {
    @Test(arguments: [
        ("a=1", "1"), ("a=1; a=2", "2"), ("b=0;a=1", "1"), ("b=0 ;  a = 1 ", "1"), ("a=x=y", "x=y"), ("a=", ""),
        ("a=\"q\"", "q"), ("a=\"", "\""), ("A=0; a=1", "1"), ("a; a=1", "1"), (";;a=1;;", "1"),
    ])
    func `The last of a name counts, without quotation marks`(header: String, value: String) {
        #expect(RequestCookies.value("a", in: LoginRequest([("Cookie", header)]).headers) == value)
    }

    @Test(arguments: [
        (["b=0", "a=1"], "1"), (["a=1", "b=0"], "1"), (["a=1", "", "a=2; c=3"], "2"), (["", "a=1"], "1"),
    ])
    func `Several Cookie headers are one`(lines: [String], value: String) {
        #expect(RequestCookies.value("a", in: LoginRequest(lines.map { ("Cookie", $0) }).headers) == value)
    }

    @Test(arguments: ["", "b=1", "a", "aa=1", "=a"])
    func `What is not there is not found`(header: String) {
        #expect(RequestCookies.value("a", in: LoginRequest([("Cookie", header)]).headers) == nil)
    }
}
