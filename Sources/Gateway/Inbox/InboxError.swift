import Broker
import NIOCore

/// Why a command on an inbox was not carried out: the `error` of an answer (docs/protocol.md).
struct InboxError: Error, Equatable {
    enum Code: String, CaseIterable {
        /// The text is no command.
        case badCommand = "bad_command"
        case badPosition = "bad_position"
        /// The connection is not in the group, or the group has no inbox.
        case unknownGroup = "unknown_group"
        /// The command could mean several groups.
        case groupNeeded = "group_needed"
        /// The same again would be refused again.
        case refused
        /// Redis cannot be reached now: try again.
        case unavailable
        /// Too many commands wait for their answers.
        case busy
        /// The route takes no messages from clients.
        case notAllowed = "not_allowed"
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// - Parameter error: of the backplane.
    init(_ error: any Error) {
        if let error = error as? BackplaneError, error.code == .refused {
            self.init(.refused, error.message)
        } else {
            self.init(.unavailable, "the store cannot be reached now; try again")
        }
    }
}
