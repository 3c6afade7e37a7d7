import Glibc
import Measuring

/// rsyslog from the same files over plain TCP to a process that counts lines, set up so that it goes as fast as it can: a queue
/// in memory, large batches, and no metadata, which a pattern of files turns on and which takes half of its time. Nothing is
/// kept, encrypted or acknowledged.
struct Rsyslog {
    /// What goes with a line.
    enum Form: String {
        /// What it forwards if not told otherwise: priority, time, host and tag; the agent's host, time and source.
        case forwarded = "RSYSLOG_ForwardFormat"
        /// Nothing.
        case bare
    }

    private let directory: String
    private let sink: String

    init(directory: String) {
        self.directory = directory
        sink = contestant("line_sink", in: directory)
    }

    func run(_ logs: Logs, _ form: Form) -> Figures {
        Child(["rm", "-rf", "\(directory)/rsyslog"]).wait()
        mkdir("\(directory)/rsyslog", 0o700)
        let sink = Child([sink, "\(logs.lines)"])
        let port = sink.readLine()?.split(separator: "=").last ?? ""
        write(
            """
            global(workDirectory="\(directory)/rsyslog")
            main_queue(queue.type="FixedArray" queue.size="100000" queue.dequeueBatchSize="8192")
            module(load="imfile" mode="inotify")
            template(name="\(Form.bare.rawValue)" type="string" string="%msg%\\n")
            input(type="imfile" file="\(logs.include)" tag="app" freshStartTail="off" addMetadata="off")
            action(type="omfwd" target="127.0.0.1" port="\(port)" protocol="tcp" template="\(form.rawValue)"
                action.resumeRetryCount="-1")

            """, to: "\(directory)/rsyslog.conf")
        let begin = seconds()
        let agent = Child([
            "sh", "-c",
            "exec /usr/sbin/rsyslogd -n -f \(directory)/rsyslog.conf -i \(directory)/rsyslog/pid >/dev/null"
                + " 2>\(directory)/rsyslog.log",
        ])
        guard sink.readLine() == "done" else { fail("count rsyslog's lines", 0) }
        let figures = Figures(logs, seconds: seconds() - begin, of: agent)
        sink.wait()
        agent.end(SIGKILL)
        return figures
    }
}
