import ArgumentParser

/// The `tocsin` command.
@main
struct Tocsin: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "tocsin",
        abstract: "A notification broker on Redis: from any backend to every browser that a user has open.",
        discussion: """
            Start here:
              tocsin dev                        a private Redis, two gateways and a page to try them
              tocsin send demo '{"text":"Hi"}'  sends to the group "demo" (any Redis client can do the same)

            In production, gateways run side by side behind a load balancer and share one Redis:
              tocsin gateway --config tocsin.yaml

            Settings come from flags, then the environment (TOCSIN_REDIS, TOCSIN_GATEWAY_BIND, … the YAML path in \
            capitals), then the file, then defaults.
            """,
        version: version,
        subcommands: [
            GatewayCommand.self, DevCommand.self, SendCommand.self, TailCommand.self, WhoCommand.self, KickCommand.self,
            GatewaysCommand.self, HistoryCommand.self, ReceiptCommand.self, InboxCommand.self, ScheduledCommand.self,
            EscalationsCommand.self, EraseCommand.self, DoctorCommand.self, TokenCommand.self, VapidCommand.self,
            BenchCommand.self,
        ]
    )
}
