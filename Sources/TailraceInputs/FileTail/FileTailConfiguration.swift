/// One file input: which files, and how they are read.
package struct FileTailConfiguration: Equatable, Sendable {
    /// The input's name in the configuration; a property of every record.
    package var name: String
    /// Patterns of absolute paths.
    package var include: [GlobPattern]
    package var exclude: [ExcludePattern]
    /// Longer lines are cut to this many bytes and marked. At most the block's size less `LineSplitter.reserve`.
    package var maximumLine = 1_024_000
    /// Where a file is begun that was there before the input knew of it.
    package var startAt = StartPosition.beginning
    /// A file that had not changed for so long when it was first seen is begun at its end.
    package var ignoreOlder: Duration?
    /// A carriage return before a line's newline is no part of the record.
    package var stripsCarriageReturns = false
    /// How the files stand for text; nil = UTF-8, or UTF-16 where a file begins with its byte order mark.
    package var encoding: TextEncoding?
    /// A file that was deleted is held open until it is read to its end, but only while its file system has as many
    /// bytes free as this; below it, the ones deleted longest are given up.
    package var deletedMinimumFree: UInt64 = 256 << 20

    /// What a container's run-time has put around the lines; nil = nothing.
    package var format: ContainerFormat?
    /// How lines become records of several lines; nil = each is one.
    package var multiline: MultilineRules?

    package enum StartPosition: Sendable { case beginning, end }

    /// Patterns that are not absolute paths are refused by `GlobPattern` itself.
    package init(name: String, include: [GlobPattern], exclude: [ExcludePattern] = []) {
        self.name = name
        self.include = include
        self.exclude = exclude
    }
}

/// What all file inputs of the agent share, for they share one thread.
package struct FileTailLimits: Sendable {
    /// Everything is looked at again this often, whatever inotify said.
    package var rescanInterval: Duration = .seconds(60)
    /// Directories without an inotify watch, and files that could not be opened, are looked at this often.
    package var pollInterval: Duration = .seconds(1)
    /// A last line without newline is taken as it is once its file was rotated or unlinked and has not changed for so long.
    package var finalAfter: Duration = .seconds(5)
    /// The position of a file that cannot be found is kept for so long.
    package var forgetAfter: Duration = .seconds(86_400)
    /// At least this long between two rounds of reading while there is little to read: lets lines gather.
    package var gatherInterval: Duration = .milliseconds(4)
    /// The same while a round finds less than `FileTailEngine.trickle`. Each round costs a sync and a batch to each output, so
    /// half the interval costs twice the processor; of 1,000 lines a second this one has half acknowledged within 2 ms.
    package var trickleInterval: Duration = .milliseconds(2)
    /// Bytes that wait in the spool for an output, beyond which files that have much to read are read no faster than
    /// `pacedRate`: what is delivered while a spool's files are few is written into the same few again and again, which costs a
    /// fraction of what new ones cost. A round that brings little is followed by no pause for it.
    package var paceAbove = 48 << 20
    /// Bytes a second, of all files together: more than logs are written at, so that pacing only defers what lies there already.
    package var pacedRate = 100_000_000
    /// The longest pause for that: new lines of all files wait for it.
    package var longestPace: Duration = .milliseconds(40)
    /// File descriptors kept open; the ones longest idle are closed first.
    package var maximumOpenFiles = 512
    /// Files whose position is kept although they cannot be found; the oldest are forgotten first.
    package var maximumMissingFiles = 10_000
    /// inotify watches used; directories beyond are polled, as those are for which the kernel has none left.
    package var maximumWatches = 100_000
    /// On a network file system another content, or NULs, count when they were seen so many times in a row, at least
    /// `pollInterval` apart.
    package var doubtfulLooks = 5
    /// False: never use inotify, look at every directory each `pollInterval`.
    package var usesInotify = true

    package init() {}
}
