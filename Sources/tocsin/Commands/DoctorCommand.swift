import ArgumentParser
import Broker
import ChannelLayer
import Foundation
import RedisClient

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check the configuration, Redis and this machine for what usually goes wrong.",
        discussion: "Exit status 1 when something is wrong; a warning alone is 0.")

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Have the site's own channel layer send a message, and see whether it comes: the command that runs Python in the site, like \"python manage.py shell\"; - prints the lines to paste there.",
            valueName: "command"))
    var django: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let findings = try await CommandSession.run(options) { session in
            let examinations = session.clients.shards.enumerated().map { shard, client in
                Examination(client: client, shard: shard, configuration: session.configuration)
            }
            var findings: [Examination.Finding] = []
            for examination in examinations { findings += await examination.redis() }
            findings += await examinations[0].surroundings()
            if let django {
                findings.append(
                    try await DjangoTrial(
                        clients: session.clients, configuration: session.configuration, command: django
                    ).run())
            }
            return findings
        }
        if output.json {
            print(
                JSONWriter.lines(findings) { finding, json in
                    json.string("check", finding.check)
                    json.string("verdict", "\(finding.verdict)")
                    json.string("detail", finding.detail)
                })
        } else {
            for finding in findings { print("\(finding.verdict.mark)  \(finding.check): \(finding.detail)") }
        }
        if findings.contains(where: { $0.verdict == .wrong }) { throw ExitCode(1) }
    }
}
