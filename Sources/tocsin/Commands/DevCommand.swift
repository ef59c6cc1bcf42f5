import ArgumentParser
import Foundation

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "A private Redis, gateways and a page to try them, until Ctrl-C.",
        discussion: """
            Everything is real: a redis-server of its own (its data is thrown away at the end) and gateway processes, all \
            on 127.0.0.1. They accept connections from any Origin: for development only.

            The gateways' ports are 8001, 8002, …, their admin ports 9001, 9002, …, Redis' is 6390. A second one on the \
            same machine takes others, and these others follow from --port:
              tocsin dev --port 8101            gateways 8101, 8102; admin ports 9101, 9102; Redis 6490
              tocsin dev --redis-port 6400      only Redis elsewhere
            Where a port is taken nothing is started, and it is said who has it.

            Ctrl-C, SIGTERM and a terminal that is closed end everything, the redis-server too. Where one of the processes \
            ends by itself the others are ended.
            """)

    @Option(name: .long, help: ArgumentHelp("How many gateways, 1 to 64.", valueName: "n"))
    var gateways = 2

    @Option(
        name: .long,
        help: ArgumentHelp("The first gateway's port; the others follow, Redis' as well.", valueName: "port"))
    var port = DevPorts.standardFirst

    @Option(
        name: .long,
        help: ArgumentHelp("Redis' port. Default: 6390, or as far from it as --port from 8001.", valueName: "port"))
    var redisPort: Int?

    @Option(
        name: .long,
        help: ArgumentHelp("Routes, auth and groups from this file instead of /ws/{room}.", valueName: "file"))
    var config: String?

    func validate() throws { _ = try DevPorts(first: port, count: gateways, redis: redisPort) }

    func run() async throws {
        // All signals that would end this process and leave its children running; SIGHUP comes from a closed terminal. After the
        // first one they are all ignored: a shell and the kernel both send SIGHUP, and people type Ctrl-C repeatedly.
        let ends = [SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2] + (Signals.isIgnored(SIGHUP) ? [] : [SIGHUP])
        let signals = Signals.Received(ends)
        Signals.ignoreBrokenPipes()
        let house = try DevHouse(DevPorts(first: port, count: gateways, redis: redisPort), configFile: config)
        let end: Result<String, any Error>
        do {
            end = .success(try await life(of: house, until: signals))
        } catch {
            end = .failure(error)
        }
        if case .success(let why) = end { note(why) }
        await house.stop()
        _ = try end.get()
    }

    /// Waits until a signal arrives, or one of the processes ends.
    private func life(of house: DevHouse, until signals: Signals.Received) async throws -> String {
        try await withThrowingTaskGroup(of: String?.self) { group in
            group.addTask {
                await signals.first()
                return "stopping"
            }
            group.addTask {
                StandardStream.output.write(line: try await house.start())
                return await house.waitForAnEnd().map { "\($0) has ended; stopping the rest" }
            }
            defer { group.cancelAll() }
            let why = try await group.next() ?? nil
            return why ?? "stopping"
        }
    }
}
