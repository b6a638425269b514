import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import eu.chargetime.ocpp.CallErrorException;
import eu.chargetime.ocpp.JSONCommunicator;
import eu.chargetime.ocpp.JSONConfiguration;
import eu.chargetime.ocpp.JSONServer;
import eu.chargetime.ocpp.ServerEvents;
import eu.chargetime.ocpp.feature.ProfileFeature;
import eu.chargetime.ocpp.feature.profile.Profile;
import eu.chargetime.ocpp.feature.profile.ServerCoreEventHandler;
import eu.chargetime.ocpp.feature.profile.ServerCoreProfile;
import eu.chargetime.ocpp.feature.profile.ServerFirmwareManagementEventHandler;
import eu.chargetime.ocpp.feature.profile.ServerFirmwareManagementProfile;
import eu.chargetime.ocpp.feature.profile.ServerLocalAuthListProfile;
import eu.chargetime.ocpp.feature.profile.ServerRemoteTriggerProfile;
import eu.chargetime.ocpp.feature.profile.ServerReservationProfile;
import eu.chargetime.ocpp.feature.profile.ServerSmartChargingProfile;
import eu.chargetime.ocpp.feature.profile.securityext.ServerSecurityExtEventHandler;
import eu.chargetime.ocpp.feature.profile.securityext.ServerSecurityExtProfile;
import eu.chargetime.ocpp.model.Confirmation;
import eu.chargetime.ocpp.model.Request;
import eu.chargetime.ocpp.model.SessionInformation;
import eu.chargetime.ocpp.model.Validatable;
import eu.chargetime.ocpp.model.core.*;
import eu.chargetime.ocpp.model.firmware.*;
import eu.chargetime.ocpp.model.securityext.*;
import eu.chargetime.ocpp.model.securityext.types.GenericStatusEnumType;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.ZonedDateTime;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;

/** A central system on Java-OCA-OCPP; ../foreign.py describes its lines. */
public final class CentralSystem
    implements ServerCoreEventHandler, ServerFirmwareManagementEventHandler, ServerSecurityExtEventHandler, ServerEvents {
  private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

  /** The library's own way between its types and JSON; it needs no connection for that. */
  private static final JSONCommunicator CODEC = new JSONCommunicator(null);

  private final Map<String, UUID> sessions = new ConcurrentHashMap<>();
  private final Map<UUID, String> identities = new ConcurrentHashMap<>();
  private final Map<String, Class<? extends Request>> requests = new HashMap<>();
  private final JSONServer server;
  private int transactions;

  private CentralSystem(boolean secure) {
    ServerCoreProfile core = new ServerCoreProfile(this);
    server = new JSONServer(core, JSONConfiguration.get().setParameter(JSONConfiguration.REUSE_ADDR_PARAMETER, true));
    know(core);
    add(new ServerFirmwareManagementProfile(this));
    add(new ServerLocalAuthListProfile());
    add(new ServerRemoteTriggerProfile());
    add(new ServerReservationProfile());
    add(new ServerSmartChargingProfile());
    if (secure) {
      add(new ServerSecurityExtProfile(this));
    }
  }

  private void add(Profile profile) {
    server.addFeatureProfile(profile);
    know(profile);
  }

  private void know(Profile profile) {
    for (ProfileFeature feature : profile.getFeatureList()) {
      requests.put(feature.getAction(), feature.getRequestType());
    }
  }

  private static JsonObject line(String key, Object value) {
    JsonObject line = new JsonObject();
    line.add(key, GSON.toJsonTree(value));
    return line;
  }

  private static void say(JsonObject line) {
    synchronized (System.out) {
      System.out.println(GSON.toJson(line));
      System.out.flush();
    }
  }

  private static void event(String name, Map<String, ?> fields) {
    JsonObject line = line("event", name);
    fields.forEach((key, value) -> line.add(key, GSON.toJsonTree(value)));
    say(line);
  }

  private static JsonElement json(Object model) {
    return JsonParser.parseString(CODEC.packPayload(model).toString());
  }

  private static void check(Validatable model) {
    if (!model.validate()) {
      event("invalid", Map.of("message", model.toString()));
    }
  }

  /** Reports a request as the library decoded it. */
  private static void seen(String action, Request request) {
    check(request);
    event("request", Map.of("action", action, "payload", json(request)));
  }

  private static IdTagInfo accepted() {
    return new IdTagInfo(AuthorizationStatus.Accepted);
  }

  @Override
  public AuthorizeConfirmation handleAuthorizeRequest(UUID session, AuthorizeRequest request) {
    seen("Authorize", request);
    return new AuthorizeConfirmation(accepted());
  }

  @Override
  public BootNotificationConfirmation handleBootNotificationRequest(UUID session, BootNotificationRequest request) {
    seen("BootNotification", request);
    return new BootNotificationConfirmation(ZonedDateTime.now(), 300, RegistrationStatus.Accepted);
  }

  @Override
  public DataTransferConfirmation handleDataTransferRequest(UUID session, DataTransferRequest request) {
    seen("DataTransfer", request);
    DataTransferConfirmation answer = new DataTransferConfirmation(DataTransferStatus.Accepted);
    answer.setData(request.getData());
    return answer;
  }

  @Override
  public HeartbeatConfirmation handleHeartbeatRequest(UUID session, HeartbeatRequest request) {
    seen("Heartbeat", request);
    return new HeartbeatConfirmation(ZonedDateTime.now());
  }

  @Override
  public MeterValuesConfirmation handleMeterValuesRequest(UUID session, MeterValuesRequest request) {
    seen("MeterValues", request);
    return new MeterValuesConfirmation();
  }

  @Override
  public synchronized StartTransactionConfirmation handleStartTransactionRequest(
      UUID session, StartTransactionRequest request) {
    seen("StartTransaction", request);
    return new StartTransactionConfirmation(accepted(), ++transactions);
  }

  @Override
  public StatusNotificationConfirmation handleStatusNotificationRequest(UUID session, StatusNotificationRequest request) {
    seen("StatusNotification", request);
    return new StatusNotificationConfirmation();
  }

  @Override
  public StopTransactionConfirmation handleStopTransactionRequest(UUID session, StopTransactionRequest request) {
    seen("StopTransaction", request);
    StopTransactionConfirmation answer = new StopTransactionConfirmation();
    answer.setIdTagInfo(accepted());
    return answer;
  }

  @Override
  public DiagnosticsStatusNotificationConfirmation handleDiagnosticsStatusNotificationRequest(
      UUID session, DiagnosticsStatusNotificationRequest request) {
    seen("DiagnosticsStatusNotification", request);
    return new DiagnosticsStatusNotificationConfirmation();
  }

  @Override
  public FirmwareStatusNotificationConfirmation handleFirmwareStatusNotificationRequest(
      UUID session, FirmwareStatusNotificationRequest request) {
    seen("FirmwareStatusNotification", request);
    return new FirmwareStatusNotificationConfirmation();
  }

  @Override
  public LogStatusNotificationConfirmation handleLogStatusNotificationRequest(
      UUID session, LogStatusNotificationRequest request) {
    seen("LogStatusNotification", request);
    return new LogStatusNotificationConfirmation();
  }

  @Override
  public SecurityEventNotificationConfirmation handleSecurityEventNotificationRequest(
      UUID session, SecurityEventNotificationRequest request) {
    seen("SecurityEventNotification", request);
    return new SecurityEventNotificationConfirmation();
  }

  @Override
  public SignCertificateConfirmation handleSignCertificateRequest(UUID session, SignCertificateRequest request) {
    seen("SignCertificate", request);
    return new SignCertificateConfirmation(GenericStatusEnumType.Accepted);
  }

  @Override
  public SignedFirmwareStatusNotificationConfirmation handleSignedFirmwareStatusNotificationRequest(
      UUID session, SignedFirmwareStatusNotificationRequest request) {
    seen("SignedFirmwareStatusNotification", request);
    return new SignedFirmwareStatusNotificationConfirmation();
  }

  @Override
  public void authenticateSession(SessionInformation information, String username, byte[] password) {
    // Every station is welcome.
  }

  @Override
  public void newSession(UUID session, SessionInformation information) {
    String identity = information.getIdentifier().replaceFirst("^/", "");
    sessions.put(identity, session);
    identities.put(session, identity);
    event("connected", Map.of("cp", identity));
  }

  @Override
  public void lostSession(UUID session) {
    event("disconnected", Map.of("cp", identities.get(session)));
  }

  /** Sends one command and waits for its answer, so that replies come in the order of commands. */
  private JsonObject obey(String text) {
    try {
      JsonObject told = JsonParser.parseString(text).getAsJsonObject();
      Class<? extends Request> type = requests.get(told.get("call").getAsString());
      Request request = CODEC.unpackPayload(told.get("payload").toString(), type);
      Confirmation answer =
          server.send(sessions.get(told.get("cp").getAsString()), request).toCompletableFuture().get();
      check(answer);
      JsonObject line = line("ok", true);
      line.add("result", json(answer));
      return line;
    } catch (Exception failure) {
      Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
      JsonObject line = line("ok", false);
      line.addProperty(
          "error",
          cause instanceof CallErrorException error ? error.getErrorCode() : cause.getClass().getSimpleName());
      line.addProperty("message", String.valueOf(cause.getMessage()));
      return line;
    }
  }

  private static void untilOpen(int port) throws InterruptedException {
    while (true) {
      try (Socket probe = new Socket("127.0.0.1", port)) {
        return;
      } catch (IOException notYet) {
        Thread.sleep(5);
      }
    }
  }

  /** The library names its version in its file only: v1_6-1.1.0.jar. */
  private static String version() {
    String jar = JSONServer.class.getProtectionDomain().getCodeSource().getLocation().getPath();
    return jar.replaceFirst(".*v1_6-(.*)\\.jar", "$1");
  }

  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    CentralSystem system = new CentralSystem(arguments.length < 2 || !arguments[1].equals("plain"));
    system.server.open("127.0.0.1", port, system);
    untilOpen(port);
    event(
        "ready",
        Map.of("url", "ws://127.0.0.1:" + port, "library", "eu.chargetime.ocpp:v1_6", "version", version()));
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String text = input.readLine(); text != null; text = input.readLine()) {
      say(system.obey(text));
    }
    System.exit(0);
  }
}
