import Broker
import Testing

@testable import Gateway

struct GroupTemplateTests {
    private func resolve(_ template: String, _ values: [String: String]) throws -> String {
        try GroupTemplate(template).resolve(values).text
    }

    @Test func `Values take their places`() throws {
        #expect(try resolve("{user}isInsufficient", ["user": "42"]) == "42isInsufficient")
        #expect(try resolve("news", [:]) == "news")
        #expect(try resolve("{a}{b}", ["a": "x", "b": "y"]) == "xy")
        #expect(try resolve("a.{a}-{b}_{a}", ["a": "x", "b": "y"]) == "a.x-y_x")
        #expect(try GroupTemplate("{user}.{room}.x.{room}").variables == ["user", "room"])
        #expect(try GroupTemplate("news").variables == [])
    }

    @Test func `A value is not read as a template`() throws {
        #expect(throws: NameError.self) { try resolve("{a}", ["a": "{b}", "b": "x"]) }
    }

    @Test(arguments: ["", " ", "a b", "a:b", "é", "\n", "../x", "a\0", String(repeating: "x", count: 100)])
    func `A value that makes no group's name is refused`(value: String) {
        #expect(throws: NameError.self) { try resolve("{room}", ["room": value]) }
    }

    @Test func `A value that is missing makes no name, nor does one that is empty`() throws {
        for values in [[:], ["claims.team": ""]] {
            #expect(throws: NameError.self) { try resolve("team.{claims.team}", values) }
        }
        #expect(try resolve("team.{claims.team}", ["claims.team": "red"]) == "team.red")
        #expect(try GroupTemplate("{claims.https://site.example/t}").variables == ["claims.https://site.example/t"])
    }

    @Test func `The length counts as a whole`() throws {
        #expect(try resolve("{a}isInsufficient", ["a": String(repeating: "x", count: 85)]).count == 99)
        #expect(throws: NameError.self) { try resolve("{a}isInsufficient", ["a": String(repeating: "x", count: 86)]) }
    }

    @Test(arguments: [
        "", "{", "{a", "a{b", "a b", "a}", "}", "{a}}", "a:{b}", "*{a}", "é{a}", String(repeating: "x", count: 100),
    ])
    func `What cannot make a group's name is refused when it is written`(text: String) {
        #expect(throws: TemplateError.self) { try GroupTemplate(text) }
    }
}

struct RouteTests {
    private func route(_ path: String, _ groups: [String], auth: [String] = []) throws -> Route {
        try Route(path: PathTemplate(path), groups: groups.map { try GroupTemplate($0) }, authentication: auth)
    }

    @Test func `A group may use what the path has, and the user where there is a login`() throws {
        #expect(throws: Never.self) { try route("/ws/{room}", ["{room}", "news"]) }
        #expect(throws: Never.self) { try route("/ws/{room}", ["{room}.{user}"], auth: ["site"]) }
        #expect(throws: Never.self) { try route("/ws", ["team.{claims.team}"], auth: ["site"]) }
    }

    @Test(arguments: [
        (["{room}"], "the group \"{room}\" of /ws uses {room}, which the path does not have"),
        (["{}"], "the group \"{}\" of /ws uses {}, which the path does not have"),
        (["team.{claims.team}"], "the group \"team.{claims.team}\" of /ws needs a login: set auth:"),
        (["news", "{user}isInsufficient"], "the group \"{user}isInsufficient\" of /ws needs a login: set auth:"),
    ])
    func `A group that uses what is not there is refused by name`(groups: [String], message: String) {
        let error = #expect(throws: TemplateError.self) { try route("/ws", groups) }
        #expect(error?.description == message)
    }

    @Test func `The first route whose path matches counts`() throws {
        let router = Router(routes: [
            try route("/ws/news", ["news"]), try route("/ws/{room}", ["{room}"]), try route("/ws/{other}", ["x"]),
        ])
        #expect(router.match("/ws/news")?.index == 0)
        #expect(router.match("/ws/else")?.index == 1)
        #expect(router.match("/ws/else")?.values == ["room": "else"])
        #expect(router.match("/nothing") == nil)
        #expect(Router(routes: []).match("/") == nil)
    }
}
