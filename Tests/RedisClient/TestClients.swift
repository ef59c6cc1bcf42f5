import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport

@testable import RedisClient

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension RedisConfiguration {
    /// For tests: reconnects quickly, and probes only when told to.
    static func test(
        _ url: String, _ change: (inout RedisConfiguration) -> Void = { _ in }
    ) throws -> RedisConfiguration {
        var configuration = RedisConfiguration(address: try RedisAddress(url), clientName: "a-test")
        configuration.backoff = Backoff(base: .milliseconds(5), ceiling: .milliseconds(50))
        configuration.refusalBackoff = configuration.backoff
        configuration.commandTimeout = .seconds(20)
        configuration.connectTimeout = .seconds(20)
        configuration.probeInterval = .hours(1)
        change(&configuration)
        return configuration
    }
}

extension RedisClient {
    /// Runs `body` with a client, without waiting for a connection.
    static func run<R>(
        _ url: String, _ change: (inout RedisConfiguration) -> Void = { _ in },
        onStateChange: @escaping @Sendable (Bool) -> Void = { _ in }, isolation: isolated (any Actor)? = #isolation,
        _ body: (RedisClient) async throws -> R
    ) async throws -> R {
        let client = try await RedisClient.start(
            .test(url, change), on: MultiThreadedEventLoopGroup.singleton.next(), logger: quiet
        ) { event in
            switch event {
            case .up: onStateChange(true)
            case .down: onStateChange(false)
            case .missed, .refused: break
            }
        }
        let result: Result<R, any Error>
        do { result = .success(try await body(client)) } catch { result = .failure(error) }
        await client.close()
        return try result.get()
    }

    /// Waits until commands are answered, however long it takes.
    func ready() async throws { try await waitUntilUp(.seconds(30)) }

    /// The reply as a string, or the error as one.
    func ask(_ command: RedisCommand) async -> String {
        do { return try await send(command).text ?? "nothing" } catch { return "\(error)" }
    }

    /// Waits until a command fails with these words in its error.
    func failure(with words: String) async throws -> RedisError {
        var last: RedisError?
        try await waitUntil("an error with \"\(words)\", not \"\(last?.description ?? "none")\"") {
            do {
                _ = try await send(RedisCommand("PING"))
                return false
            } catch let error as RedisError {
                last = error
                return error.message.contains(words)
            }
        }
        return last!
    }
}

/// A subscriber with what it told its delegate; may be used from the test's thread.
final class Listener: Sendable {
    struct Received: Sendable {
        var messages: [(channel: String, payload: ByteBuffer)] = []
        var timesLive = 0
        var losses: [RedisError] = []
        var refusals: [RedisError] = []
        var reads = 0
    }

    private final class Delegate: RedisSubscriberDelegate {
        let listener: Listener
        init(_ listener: Listener) { self.listener = listener }
        func subscriber(received payload: ByteBuffer, on channel: String) {
            listener.state.withLock { $0.messages.append((channel, payload)) }
        }
        func subscriberReadComplete() { listener.state.withLock { $0.reads += 1 } }
        func subscriberIsLive() { listener.state.withLock { $0.timesLive += 1 } }
        func subscriberLost(_ reason: RedisError) { listener.state.withLock { $0.losses.append(reason) } }
        func subscriberRefused(_ reason: RedisError) { listener.state.withLock { $0.refusals.append(reason) } }
    }

    private let state = Mutex(Received())
    private let parts: NIOLoopBoundBox<(RedisSubscriber, Delegate)?>
    let loop: any EventLoop

    var heard: Received { state.withLock { $0 } }
    var texts: [String] { heard.messages.map { String(buffer: $0.payload) } }

    private init(_ loop: any EventLoop) {
        self.loop = loop
        parts = .makeEmptyBox(valueType: (RedisSubscriber, Delegate).self, eventLoop: loop)
    }

    /// Runs `body` with a started subscriber.
    static func run<R>(
        _ url: String, permanent: [String] = [], _ change: (inout RedisConfiguration) -> Void = { _ in },
        isolation: isolated (any Actor)? = #isolation, _ body: (Listener) async throws -> R
    ) async throws -> R {
        let configuration = try RedisConfiguration.test(url, change)
        let listener = Listener(MultiThreadedEventLoopGroup.singleton.next())
        try await listener.loop.submit {
            let subscriber = RedisSubscriber(
                configuration, permanent: permanent, on: listener.loop, logger: quiet)
            let delegate = Delegate(listener)
            subscriber.delegate = delegate
            subscriber.start()
            listener.parts.value = (subscriber, delegate)
        }.get()
        let result: Result<R, any Error>
        do { result = .success(try await body(listener)) } catch { result = .failure(error) }
        try await listener.stop()
        try await listener.loop.submit { listener.parts.value = nil }.get()
        return try result.get()
    }

    func on<R: Sendable>(_ work: @escaping @Sendable (RedisSubscriber) -> R) async throws -> R {
        try await loop.submit { work(self.parts.value!.0) }.get()
    }

    func stop() async throws { try await on { $0.stop() } }

    func live(times: Int = 1) async throws {
        try await waitUntil("a live subscriber, time \(times)") { heard.timesLive >= times }
    }

    /// Subscribes to all in one turn of the loop and waits for every answer.
    func subscribe(_ channels: [String]) async throws {
        try await loop.flatSubmit { [self] in
            EventLoopFuture.andAllSucceed(channels.map { parts.value!.0.subscribe($0) }, on: loop)
        }.get()
    }
}
