import ArgumentParser
import Foundation

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "A private Redis, gateways and a page to try them, until Ctrl-C.",
        discussion: """
            Everything is real: a redis-server of its own (port 6390, or a free one; its data is thrown away at the \
            end) and gateway processes on 127.0.0.1:8001, 8002, … They accept connections from any Origin: for development only.
            """)

    @Option(name: .long, help: ArgumentHelp("How many gateways.", valueName: "n"))
    var gateways = 2

    @Option(name: .long, help: ArgumentHelp("The first gateway's port; the others follow.", valueName: "port"))
    var port = 8001

    @Option(
        name: .long,
        help: ArgumentHelp("Routes, auth and groups from this file instead of /ws/{room}.", valueName: "file"))
    var config: String?

    func validate() throws {
        guard (1...64).contains(gateways) else { throw ValidationError("--gateways wants 1 to 64.") }
        guard (1...65000).contains(port) else { throw ValidationError("--port wants 1 to 65000.") }
    }

    func run() async throws {
        let house = try DevHouse(gateways: gateways, firstPort: port, configFile: config)
        do {
            try await house.start()
            show(house.welcome)
            let ended = await house.waitForEnd()
            note(ended)
        } catch {
            await house.stop()
            throw error
        }
        await house.stop()
    }
}
