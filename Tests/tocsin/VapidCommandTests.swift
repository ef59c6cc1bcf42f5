import ArgumentParser
import Escalation
import Foundation
import Testing

@testable import tocsin

/// `tocsin vapid`.
struct VapidCommandTests {
    private func inDirectory(_ body: (String) throws -> Void) throws {
        let directory = NSTemporaryDirectory() + "tocsin-vapid-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    @Test func `The key is written for its owner alone, and can be read again`() throws {
        try inDirectory { directory in
            let file = directory + "/vapid.pem"
            let written = try VapidCommand.parse([file]).write()
            let pem = try String(contentsOfFile: file, encoding: .utf8)
            #expect(try VAPIDKey(pem: pem).publicText == written.publicText)
            #expect(pem.hasSuffix("-----END PRIVATE KEY-----\n"))
            let attributes = try FileManager.default.attributesOfItem(atPath: file)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test func `A file that exists is not overwritten, nor the target of a link`() throws {
        try inDirectory { directory in
            let file = directory + "/vapid.pem", link = directory + "/link.pem"
            try "precious".write(toFile: file, atomically: true, encoding: .utf8)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: directory + "/elsewhere.pem")
            for name in [file, link] {
                #expect {
                    try VapidCommand.parse([name]).write()
                } throws: {
                    "\($0)".contains("\(name) exists and is not overwritten")
                }
            }
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious")
            #expect(!FileManager.default.fileExists(atPath: directory + "/elsewhere.pem"))
        }
    }

    @Test func `A directory that does not exist is named`() throws {
        #expect {
            try VapidCommand.parse(["/nonexistent/vapid.pem"]).write()
        } throws: {
            "\($0)".contains("cannot create /nonexistent/vapid.pem")
        }
    }
}
