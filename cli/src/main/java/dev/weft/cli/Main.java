package dev.weft.cli;

import dev.weft.core.cluster.UserException;
import java.io.PrintWriter;
import java.util.Objects;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code weft} command. */
@Command(
    name = "weft",
    description = "Trains neural networks, spread over devices automatically.",
    mixinStandardHelpOptions = true,
    version = "weft 0.1.0",
    subcommands = {
      TrainCommand.class,
      GenerateCommand.class,
      EvalCommand.class,
      InspectCommand.class,
      ExplainCommand.class,
      SimulateCommand.class,
      TraceCommand.class,
      BenchCommand.class,
      ClusterCommand.class,
      DoctorCommand.class
    })
public final class Main implements Runnable {
  static final int USER_MISTAKE = 2;
  static final int FAULT = 1;
  static final int INTERRUPTED = 130;

  @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

  private Main(CommandLine.Model.CommandSpec spec) {
    this.spec = spec;
  }

  public Main() {
    this(CommandLine.Model.CommandSpec.create());
  }

  public static void main(String[] arguments) {
    System.exit(run(arguments));
  }

  /** Runs a command; gives the exit code: 0, 2 for the user's mistake, 1 for a fault of Weft's. */
  public static int run(String... arguments) {
    CommandLine line = new CommandLine(new Main());
    ConfigOptions.addTo(command(line, "train"));
    ConfigOptions.addTo(command(line, "bench", "step"));
    ConfigOptions.addTo(command(line, "bench", "simulator"));
    ConfigOptions.addTo(command(line, "bench", "decode"));
    ConfigOptions.addTo(command(line, "explain"));
    for (CommandLine inspect : command(line, "inspect").getSubcommands().values()) {
      ConfigOptions.addTo(inspect);
    }
    line.setExecutionExceptionHandler((failure, at, _) -> report(failure, at));
    line.setParameterExceptionHandler((mistake, _) -> misused(mistake));
    line.setCaseInsensitiveEnumValuesAllowed(true);
    try {
      return line.execute(arguments);
    } catch (OutOfMemoryError | StackOverflowError failure) {
      return report(failure, line);
    }
  }

  /** Says what was wrong with the words of a command, and where to read on. */
  private static int misused(CommandLine.ParameterException mistake) {
    CommandLine command = mistake.getCommandLine();
    PrintWriter err = command.getErr();
    err.println("weft: " + mistake.getMessage());
    CommandLine.UnmatchedArgumentException.printSuggestions(mistake, err);
    err.println("see " + command.getCommandSpec().qualifiedName() + " --help");
    err.flush();
    return USER_MISTAKE;
  }

  private static CommandLine command(CommandLine line, String... path) {
    for (String name : path) {
      line = Objects.requireNonNull(line.getSubcommands().get(name));
    }
    return line;
  }

  private static int report(Throwable failure, CommandLine command) {
    PrintWriter err = command.getErr();
    if (failure instanceof UserException) {
      err.println("weft: " + failure.getMessage());
      err.flush();
      return USER_MISTAKE;
    }
    if (failure instanceof OutOfMemoryError) {
      err.println(
          "weft: too little memory for Java ("
              + failure.getMessage()
              + "): give it more with WEFT_JAVA_OPTS=-Xmx8g, or make the model smaller");
      err.flush();
      return USER_MISTAKE;
    }
    err.println("weft: this is a fault of Weft's, not yours: " + failure);
    failure.printStackTrace(err);
    err.flush();
    return FAULT;
  }

  /** Without a command: what there is. */
  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
