extension Dictionary {
    /// Gives back the room that a crowd has left behind: a dictionary keeps room for as many entries as it ever had.
    ///
    /// Costs a walk over what is left, so only where nearly all have gone.
    ///
    /// - Returns: whether there was something to give back.
    @discardableResult
    public mutating func releaseSlack() -> Bool {
        guard capacity > 4096, count < capacity / 8 else { return false }
        var smaller = Dictionary(minimumCapacity: count)
        for (key, value) in self { smaller[key] = value }
        self = smaller
        return true
    }
}
