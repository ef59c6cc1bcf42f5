import ArgumentParser
import Broker
import ChannelLayer
import Operations

struct GatewaysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateways", abstract: "List the gateways that are alive.",
        discussion: "A gateway that dies is gone from the list within its lease of 15 seconds.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let gateways = try await CommandSession.run(options) { session in
            try await session.inspector.gateways().map { FleetGateway(id: $0.id, fields: $0.fields) }
        }
        if output.json { return print(JSONWriter.lines(gateways) { $0.write(to: &$1) }) }
        if gateways.isEmpty { note("no gateway is alive") }
        for gateway in gateways {
            print("\(gateway.id)  \(gateway.others.map { "\($0.key)=\($0.value)" }.joined(separator: "  "))")
        }
    }
}
