import ArgumentParser
import ChannelLayer
import Foundation
import RedisClient

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check the configuration, Redis and this machine for what usually goes wrong.",
        discussion: "Exit status 1 when something is wrong; a warning alone is 0.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let findings = try await CommandSession.run(options) { session in
            try await Examination(client: session.client, configuration: session.configuration).run()
        }
        if output.json {
            let lines = findings.map { finding in
                #"{"check":\#(jsonString(finding.check)),"verdict":"\#(finding.verdict)","detail":\#(jsonString(finding.detail))}"#
            }
            print("[\(lines.joined(separator: ",\n "))]")
        } else {
            for finding in findings { print("\(finding.verdict.mark)  \(finding.check): \(finding.detail)") }
        }
        if findings.contains(where: { $0.verdict == .wrong }) { throw ExitCode(1) }
    }
}
