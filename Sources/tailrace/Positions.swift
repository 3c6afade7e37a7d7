import ArgumentParser
import TailraceAgent
import TailraceInputs

struct Positions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows how far each source has been read; moves or forgets positions of the running agent.",
        subcommands: [PositionsList.self, PositionsSet.self, PositionsForget.self],
        defaultSubcommand: PositionsList.self)
}

struct PositionsList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the positions; while no agent runs, those in its spool.")

    @OptionGroup var common: CommonOptions

    @Flag(help: "One JSON object, for scripts.")
    var json = false

    func run() throws {
        let socket = try ConfigurationLoader.places(ofConfigurationAt: common.config).controlSocket
        do {
            Tailrace.write(try ControlClient.answer(to: .positions(isJSON: json), path: socket), endsLine: json)
        } catch ControlError.notRunning {
            let positions = try StoppedAgent.positions(ConfigurationLoader.load(path: common.config))
            Tailrace.write(json ? positions.json : Array(positions.text.utf8), endsLine: json)
        }
    }
}

struct PositionsSet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Moves a file's position: what follows it is read, again or not at all.")

    @OptionGroup var common: CommonOptions

    @Argument(help: "The file.")
    var path: String

    @Argument(help: "The offset of a line's first byte (0: the whole file is read again), or \"end\".")
    var offset: String

    private var place: PositionPlace? { offset == "end" ? .end : UInt64(offset).map { .offset($0) } }

    func validate() throws {
        guard place != nil else {
            throw ValidationError("\"\(offset)\" is no offset: name a number of bytes, or \"end\"")
        }
    }

    func run() throws {
        guard let place else { return }
        let path = PathExplanation.absolute(path, in: Tailrace.workingDirectory)
        let socket = try ConfigurationLoader.places(ofConfigurationAt: common.config).controlSocket
        Tailrace.write(try ControlClient.answer(to: .setPosition(path: path, place), path: socket))
    }
}

struct PositionsForget: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget", abstract: "Forgets a file: when it is still there, it is read from its beginning.")

    @OptionGroup var common: CommonOptions

    @Argument(help: "The file.")
    var path: String

    func run() throws {
        let path = PathExplanation.absolute(path, in: Tailrace.workingDirectory)
        let socket = try ConfigurationLoader.places(ofConfigurationAt: common.config).controlSocket
        Tailrace.write(try ControlClient.answer(to: .forgetPosition(path: path), path: socket))
    }
}
