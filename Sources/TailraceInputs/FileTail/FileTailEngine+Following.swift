import Glibc
internal import TailraceSpool

/// Other inputs than before, while the tailer runs.
extension FileTailEngine {
    /// Goes over to these inputs, between two rounds of reading. It is as if the tailer had been begun anew with them, but
    /// for what stays the same: that is not interrupted, its files stay open, also those that have no name any more.
    ///
    /// - Parameter host: a property of every record from now on.
    func follow(_ new: [FileTailConfiguration], host: String) {
        let old = inputs
        let places = old.map { new.firstIndex(of: $0) }
        assemblers = new.map { input in
            if let index = old.firstIndex(of: input) { return assemblers[index] }
            return LineAssembler(format: input.format, multiline: input.multiline)
        }
        inputs = new
        self.host = host
        firstWalks = Set(new.filter { !old.contains($0) }.map(\.name))
        // Whose they are is found out by the walk.
        troubledPaths = [:]
        strangers = [:]
        linkNames = [:]
        for directory in directories.values { directory.states = [] }
        for file in Array(files.values) {
            file.context = nil
            guard let input = input(ofPath: file.path) ?? input(ofPath: file.label) else {
                letGo(file)
                continue
            }
            if places[file.input] == input {
                file.renumber(input)
                continue
            }
            if file.directory != nil { close(file) }
            file.pass(to: input)
            enqueue(file)
        }
        // What nobody has had for long counts from now on.
        startTime = Self.monotonic()
        wantsWalk = false
        walkDirectories()
    }

    /// No input has it any more. Whichever gets it goes on where its position is.
    private func letGo(_ file: TailedFile) {
        let position = file.position
        let isBegun = (file.offset > 0 || file.generation > 0) && file.candidateLabel == nil
        end(file)
        if isBegun { save(position) }
    }
}

extension FileTailer {
    /// Goes over to other inputs, soon: when the tailer is held up by a full spool, once it is not. Returns at once.
    package func follow(_ inputs: [FileTailConfiguration], host: String) {
        names.withLock { $0 = inputs.map(\.name) }
        post { $0.follow(inputs, host: host) }
    }
}
