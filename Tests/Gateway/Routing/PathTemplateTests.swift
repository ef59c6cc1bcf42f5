import Testing

@testable import Gateway

struct PathTemplateTests {
    private func match(_ template: String, _ path: String) throws -> [String: String]? {
        try PathTemplate(template).match(path)
    }

    @Test(arguments: [
        ("/", "/"), ("/users/isinsufficient", "/users/isinsufficient"), ("/a/", "/a/"), ("/a//b", "/a//b"),
        ("/a.b-c_d~", "/a.b-c_d~"), ("/\u{34e}/a", "/\u{34e}/a"),
    ])
    func `A path without parameters matches itself`(template: String, path: String) throws {
        #expect(try match(template, path) == [:])
    }

    @Test(arguments: [
        ("/", ""), ("/", "//"), ("/a", "/A"), ("/a", "/a/"), ("/a/", "/a"), ("/a", "/a/b"), ("/a/b", "/a"), ("/a", "a"),
        ("/a", "/%61"),
        ("/a", "//a"), ("/ws/{room}", "/ws"), ("/ws/{room}", "/ws/"), ("/ws/{room}", "/ws/a/b"),
        ("/ws/{room}", "/WS/a"),
        ("/ws/{room}", "/ws/../ws/a"), ("/ws/{room}", "/x/a"), ("/{a}/{b}", "/x"), ("/{a}/{b}", "//x"),
        ("/{a}/{b}", "/x/"),
    ])
    func `Another path is no match`(template: String, path: String) throws {
        #expect(try match(template, path) == nil)
    }

    @Test(arguments: [
        ("/ws/a", "a"), ("/ws/42", "42"), ("/ws/a%20b", "a b"), ("/ws/%C3%AB", "ë"), ("/ws/%c3%ab", "ë"),
        ("/ws/a%2Fb", "a/b"),
        ("/ws/a%00", "a\0"), ("/ws/%25", "%"), ("/ws/..", ".."), ("/ws/{room}", "{room}"), ("/ws/a;b=c", "a;b=c"),
    ])
    func `A parameter takes one segment, percent-decoded`(path: String, room: String) throws {
        #expect(try match("/ws/{room}", path) == ["room": room])
    }

    @Test(arguments: [
        "/ws/%", "/ws/%2", "/ws/%zz", "/ws/%2g", "/ws/%ff", "/ws/%C3", "/ws/%C3%28", "/ws/%ED%A0%80", "/ws/%-1",
    ])
    func `An escape that means nothing is no match`(path: String) throws {
        #expect(try match("/ws/{room}", path) == nil)
    }

    @Test func `Several parameters are read by name`() throws {
        #expect(try match("/{a}/x/{b_c}", "/1/x/2") == ["a": "1", "b_c": "2"])
        #expect(try PathTemplate("/{a}/x/{b_c}").parameters == ["a", "b_c"])
    }

    @Test(arguments: [
        ("", "start with"), ("ws", "start with"), ("{a}", "start with"), ("/{}", "not a name"),
        ("/{a b}", "not a name"),
        ("/{a1}", "not a name"),
        ("/{é}", "not a name"), ("/{user}", "may not set {user}"), ("/{a}/{a}", "twice"), ("/a{b}", "whole segment"),
        ("/{a}b", "whole segment"), ("/{a", "whole segment"), ("/a}", "whole segment"), ("/{a}{b}", "not a name"),
    ])
    func `What is no template is refused with the reason`(text: String, reason: String) {
        let error = #expect(throws: TemplateError.self) { try PathTemplate(text) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
}
