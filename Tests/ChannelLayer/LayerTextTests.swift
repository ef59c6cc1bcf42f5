import Broker
import Foundation
import NIOCore
import Testing

@testable import ChannelLayer
@testable import RedisClient

/// Short strings that the layer passes to Redis.
struct LayerTextTests {
    @Test(arguments: [
        ("", "Kzl"), ("K", "Kzl"), ("Kz", "Kzl"), ("zl", "zlK"), ("E", "EKzl"), ("A", "AK"), ("AE", "AEK"),
        ("Kg$", "Kg$zl"),
        ("Exg", "ExgKzl"),
    ])
    func `The doorbell adds what is missing and keeps what is there`(setting: String, completed: String) {
        #expect(KeyspaceEvents.completed(setting) == completed)
        #expect(KeyspaceEvents.completed(completed) == nil)
    }

    @Test(arguments: ["Kzl", "lzK", "KEA", "AK", "AKE", "g$lshzxetdKE"])
    func `The doorbell leaves a setting alone that rings already`(setting: String) {
        #expect(KeyspaceEvents.completed(setting) == nil)
    }

    @Test func `The library in the program is the file, and its version is the file's`() throws {
        let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = try String(contentsOf: repository.appendingPathComponent("redis/tocsin.lua"), encoding: .utf8)
        #expect(String(buffer: FunctionLibrary.source) == file)
        let lines = file.split(separator: "\n").filter { $0.hasPrefix("local VERSION") }
        #expect(lines == ["local VERSION = \(FunctionLibrary.version)"])
    }

    @Test func `A missing function is told apart from other errors`() {
        #expect(FunctionLibrary.isMissing(RedisError(.server, "ERR Function not found")))
        #expect(!FunctionLibrary.isMissing(RedisError(.server, "ERR tocsin: the key must be PREFIX:group:NAME")))
        #expect(!FunctionLibrary.isMissing(RedisError(.unavailable, "ERR Function not found")))
    }

    @Test(arguments: [
        "LOADING Redis is loading", "BUSY Redis is busy", "READONLY x", "MASTERDOWN x", "NOREPLICAS x", "OOM x",
        "MISCONF x",
        "TRYAGAIN x", "CLUSTERDOWN x", "ERR Function not found", "NOPERM x",
    ])
    func `What may pass is transient`(message: String) {
        #expect(RedisErrorMeaning.isTransient(RedisError(.server, message)))
    }

    @Test(arguments: ["WRONGTYPE x", "ERR tocsin: x", "NOAUTH x", "", "loading x"])
    func `What will not pass is not transient`(message: String) {
        #expect(!RedisErrorMeaning.isTransient(RedisError(.server, message)))
    }

    @Test func `Memberships are refreshed at a third of their expiry, at most every ten minutes`() throws {
        var configuration = LayerConfiguration(
            LayerSettings(), redis: RedisConfiguration(address: try RedisAddress("redis://host"), clientName: "t"),
            gatewayID: "gw")
        #expect(configuration.refresh == .seconds(600))
        configuration.groupExpiry = 90
        #expect(configuration.refresh == .seconds(30))
        configuration.groupExpiry = 1
        #expect(configuration.refresh == .seconds(1))
        configuration.refreshInterval = .milliseconds(5)
        #expect(configuration.refresh == .milliseconds(5))
    }
}
