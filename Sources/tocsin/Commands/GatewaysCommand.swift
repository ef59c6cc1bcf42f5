import ArgumentParser
import ChannelLayer

struct GatewaysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateways", abstract: "List the gateways that are alive.",
        discussion: "A gateway that dies is gone from the list within its lease of 15 seconds.")

    /// Fields that the gateways themselves write as numbers.
    private static let numbers: Set = ["connections", "groups", "pid", "seen"]

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let gateways = try await CommandSession.run(options) { session in
            try await LayerInspector(client: session.client, keys: session.configuration.keys).gateways()
        }
        if output.json {
            let lines = gateways.map { gateway in
                let fields = gateway.fields.sorted { $0.key < $1.key }.filter { $0.key != "gateway" }
                    .map { ",\(jsonString($0.key)):\(Self.numbers.contains($0.key) ? $0.value : jsonString($0.value))" }
                return #"{"gateway":\#(jsonString(gateway.id))\#(fields.joined())}"#
            }
            return print("[\(lines.joined(separator: ",\n "))]")
        }
        if gateways.isEmpty { note("no gateway is alive") }
        for gateway in gateways {
            let fields = gateway.fields.sorted { $0.key < $1.key }.filter { $0.key != "gateway" }
                .map { "\($0.key)=\($0.value)" }
            print("\(gateway.id)  \(fields.joined(separator: "  "))")
        }
    }
}
