import NIOCore

/// How a connection begins, depending on what is at the other end.
extension RedisConnection {
    /// Logs in, selects the database and sets the name; a server that Sentinels have named must say that it is a primary.
    ///
    /// - Throws (in the future): `RedisError` with the address, and what was refused.
    func greet(_ configuration: RedisConfiguration) -> EventLoopFuture<Void> {
        var commands: [RedisCommand] = []
        if let password = address.password {
            var auth = RedisCommand("AUTH")
            if let user = address.user { auth.append(user) }
            auth.append(password)
            commands.append(auth)
        }
        switch configuration.peer {
        case .server: commands.append(RedisCommand("SELECT", String(address.database)))
        case .primary: commands += [RedisCommand("SELECT", String(address.database)), RedisCommand("ROLE")]
        case .sentinel: break
        }
        commands.append(RedisCommand("CLIENT", "SETNAME", configuration.clientName))
        let ready = eventLoop.makePromise(of: Void.self)
        for (index, command) in commands.enumerated() {
            let isLast = index == commands.count - 1
            send(command) { reply in
                switch reply {
                case .success(let value):
                    if command.description == "ROLE", let error = Self.problem(withRole: value, at: self.address) {
                        ready.fail(error)
                        self.close(error)
                    } else if isLast {
                        ready.succeed()
                    }
                case .failure(let error) where isLast && error.code == .server:
                    ready.succeed()  // The name is optional: without the right to set it, the connection still works.
                case .failure(let error):
                    let refused = RedisError(
                        error.code, "\(self.address) refused \(command): \(error.message)")
                    ready.fail(refused)
                    self.close(refused)
                }
            }
        }
        return ready.futureResult
    }

    /// - Parameter role: the reply to `ROLE`.
    /// - Returns: nil: the server is a primary.
    static func problem(withRole role: RedisValue, at address: RedisAddress) -> RedisError? {
        let words = role.array ?? []
        switch words.first?.text {
        case "master": return nil
        case "slave":
            let primary =
                words.count > 2 ? words[1].text.flatMap { RedisEndpoint(host: $0, port: words[2].int ?? 0) } : nil
            return RedisError(
                .unavailable, "\(address) is a replica\(primary.map { " of \($0)" } ?? ""), not a primary")
        default: return RedisError(.unavailable, "\(address) is not a primary: ROLE has another answer")
        }
    }
}
