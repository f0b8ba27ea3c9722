import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus;
import org.apache.hadoop.yarn.api.records.Priority;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.client.api.AMRMClient;
import org.apache.hadoop.yarn.client.api.AMRMClient.ContainerRequest;
import org.apache.hadoop.yarn.client.api.NMClient;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/**
 * The least an Application Master can do: it registers, asks, launches, and nothing else.
 *
 * What it takes is the floor YARN itself sets, on this cluster, for any Application Master in Java.
 * It has no state of its own, no security, no logs and no restarts. A client sends one line over a
 * plain socket, "ADD count memory-MiB node,node,...", and gets one back when the NodeManagers have
 * accepted all of them: the milliseconds to the last grant and to the last launch. The arguments of
 * the program, if any, are such a line, carried out as soon as it has registered. What a container
 * runs is in the environment variable BENCH_COMMAND, in base64.
 */
public final class FloorMaster {
  private static final long PENDING_MILLIS = 50;
  private static final long IDLE_MILLIS = 1000;
  private static final String LAUNCH =
      "exec 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr; bench_command=\\$(printf %s \\\"\\$BENCH_COMMAND\\\" | base64 -d)"
          + " && exec /bin/bash -c \\\"\\$bench_command\\\"";

  private final LinkedBlockingQueue<Wish> wishes = new LinkedBlockingQueue<>();
  private final ExecutorService launches = Executors.newFixedThreadPool(16);
  private final AMRMClient<ContainerRequest> resourceManager = AMRMClient.createAMRMClient();
  private final NMClient nodeManagers = NMClient.createNMClient();
  private Wish wish;
  private int priority;

  private static final class Wish {
    final int count;
    final int memoryMib;
    final String[] nodes;
    final PrintStream answer;
    final List<ContainerRequest> open = new ArrayList<>();
    final AtomicInteger launched = new AtomicInteger();
    final long began = System.nanoTime();
    volatile long lastGrantMillis;

    Wish(String[] words, PrintStream answer) {
      this.count = Integer.parseInt(words[1]);
      this.memoryMib = Integer.parseInt(words[2]);
      this.nodes = words[3].split(",");
      this.answer = answer;
    }

    long millis() {
      return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
    }
  }

  public static void main(String[] args) throws Exception {
    new FloorMaster().run(args);
  }

  private void run(String[] args) throws Exception {
    Configuration conf = new YarnConfiguration();
    resourceManager.init(conf);
    resourceManager.start();
    ServerSocket server = new ServerSocket(0);
    resourceManager.registerApplicationMaster(System.getenv("NM_HOST"), server.getLocalPort(), "");
    nodeManagers.init(conf);
    nodeManagers.start();
    if (args.length > 0) {
      wishes.add(new Wish(args, System.out));
    }
    Thread listener = new Thread(() -> listen(server), "listener");
    listener.setDaemon(true);
    listener.start();
    while (true) {
      if (wish == null) {
        wish = wishes.poll(IDLE_MILLIS, TimeUnit.MILLISECONDS);
        if (wish != null && wish.count == 0) {
          break;
        }
        if (wish != null) {
          ask();
        }
      } else {
        Thread.sleep(PENDING_MILLIS);
      }
      take(resourceManager.allocate(0.5f));
    }
    resourceManager.unregisterApplicationMaster(FinalApplicationStatus.SUCCEEDED, "", "");
    System.exit(0);
  }

  /** Each request names every node: granted in one or two heartbeats, where `*` takes one a second. */
  private void ask() {
    priority++; // the scheduler keeps one size per priority
    for (int i = 0; i < wish.count; i++) {
      ContainerRequest request =
          new ContainerRequest(Resource.newInstance(wish.memoryMib, 1), wish.nodes, null, Priority.newInstance(priority), true);
      wish.open.add(request);
      resourceManager.addContainerRequest(request);
    }
  }

  private void take(AllocateResponse response) {
    for (Container container : response.getAllocatedContainers()) {
      if (wish == null || wish.open.isEmpty()) {
        resourceManager.releaseAssignedContainer(container.getId());
        continue;
      }
      resourceManager.removeContainerRequest(wish.open.remove(wish.open.size() - 1));
      Wish granted = wish;
      granted.lastGrantMillis = granted.millis();
      launches.execute(() -> launch(container, granted));
    }
    if (wish != null && wish.open.isEmpty()) {
      wish = null;
    }
  }

  private void launch(Container container, Wish granted) {
    try {
      nodeManagers.startContainer(
          container,
          ContainerLaunchContext.newInstance(
              Collections.emptyMap(),
              Collections.singletonMap("BENCH_COMMAND", System.getenv("BENCH_COMMAND")),
              Collections.singletonList(LAUNCH),
              null,
              null,
              null));
    } catch (Exception e) {
      granted.answer.println("FAILED " + e);
      return;
    }
    if (granted.launched.incrementAndGet() == granted.count) {
      granted.answer.println("LAUNCHED " + granted.lastGrantMillis + " " + granted.millis());
      granted.answer.flush();
    }
  }

  private void listen(ServerSocket server) {
    while (true) {
      try {
        Socket client = server.accept();
        BufferedReader lines =
            new BufferedReader(new InputStreamReader(client.getInputStream(), StandardCharsets.UTF_8));
        wishes.add(new Wish(lines.readLine().split(" "), new PrintStream(client.getOutputStream(), true)));
      } catch (IOException e) {
        System.err.println(e);
      }
    }
  }
}
