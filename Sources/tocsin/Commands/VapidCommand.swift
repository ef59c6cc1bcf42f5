import ArgumentParser
import Escalation
import Foundation

struct VapidCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vapid",
        abstract: "Make the key for Web Push, and print its public part for the page.",
        discussion: """
            Writes a private key (P-256, PEM) that only you can read, for vapid_key_file of an escalation of the kind web_push. \
            Never overwrites a file. In the page:
              registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: "PRINTED KEY" })
            All subscriptions belong to this key: with another one, browsers have to subscribe again.
            """)

    @Argument(help: ArgumentHelp("The file to write.", valueName: "file"))
    var file: String

    func run() throws { show(try write().publicText) }

    /// Writes a new key. The file is created with its mode, and only if its name is free: O_EXCL does not follow links either.
    @discardableResult
    func write() throws -> VAPIDKey {
        let key = VAPIDKey()
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            guard errno != EEXIST else {
                throw CommandFailure("\(file) exists and is not overwritten: give another name, or remove it first")
            }
            throw CommandFailure("cannot create \(file): \(String(cString: strerror(errno)))")
        }
        var code = Self.write(key.pem.hasSuffix("\n") ? key.pem : key.pem + "\n", to: descriptor)
        // A full disk may be reported only when closing.
        if close(descriptor) != 0, code == 0 { code = errno }
        guard code == 0 else {
            unlink(file)
            throw CommandFailure("cannot write \(file): \(String(cString: strerror(code)))")
        }
        return key
    }

    /// - Returns: 0, or an error number.
    private static func write(_ text: String, to descriptor: CInt) -> CInt {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count == 0 || errno != EINTR {
                return count == 0 ? EIO : errno
            }
        }
        return 0
    }
}
