// A central system on ocpp-go, which validates all it sends and receives; ../foreign.py describes its lines.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/lorenzodonini/ocpp-go/ocpp"
	ocpp16 "github.com/lorenzodonini/ocpp-go/ocpp1.6"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/certificates"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/core"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/extendedtriggermessage"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/firmware"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/localauth"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/logging"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/remotetrigger"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/reservation"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/securefirmware"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/security"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/smartcharging"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/types"
	"github.com/lorenzodonini/ocpp-go/ocppj"
	"github.com/lorenzodonini/ocpp-go/ws"
)

const library = "github.com/lorenzodonini/ocpp-go"

var profiles = []*ocpp.Profile{
	core.Profile, firmware.Profile, localauth.Profile, remotetrigger.Profile, reservation.Profile, smartcharging.Profile,
}

var securityProfiles = []*ocpp.Profile{
	certificates.Profile, extendedtriggermessage.Profile, logging.Profile, securefirmware.Profile, security.Profile,
}

type line map[string]any

var writing sync.Mutex

func say(l line) {
	writing.Lock()
	defer writing.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// office answers what a station asks and reports it as the library decoded it.
type office struct {
	mutex        sync.Mutex
	transactions int
}

func seen(request ocpp.Request) {
	say(line{"event": "request", "action": request.GetFeatureName(), "payload": request})
}

func accepted() *types.IdTagInfo { return types.NewIdTagInfo(types.AuthorizationStatusAccepted) }

func (o *office) OnAuthorize(_ string, r *core.AuthorizeRequest) (*core.AuthorizeConfirmation, error) {
	seen(r)
	return core.NewAuthorizationConfirmation(accepted()), nil
}

func (o *office) OnBootNotification(_ string, r *core.BootNotificationRequest) (*core.BootNotificationConfirmation, error) {
	seen(r)
	return core.NewBootNotificationConfirmation(types.NewDateTime(time.Now()), 300, core.RegistrationStatusAccepted), nil
}

func (o *office) OnDataTransfer(_ string, r *core.DataTransferRequest) (*core.DataTransferConfirmation, error) {
	seen(r)
	answer := core.NewDataTransferConfirmation(core.DataTransferStatusAccepted)
	answer.Data = r.Data
	return answer, nil
}

func (o *office) OnHeartbeat(_ string, r *core.HeartbeatRequest) (*core.HeartbeatConfirmation, error) {
	seen(r)
	return core.NewHeartbeatConfirmation(types.NewDateTime(time.Now())), nil
}

func (o *office) OnMeterValues(_ string, r *core.MeterValuesRequest) (*core.MeterValuesConfirmation, error) {
	seen(r)
	return core.NewMeterValuesConfirmation(), nil
}

func (o *office) OnStatusNotification(_ string, r *core.StatusNotificationRequest) (*core.StatusNotificationConfirmation, error) {
	seen(r)
	return core.NewStatusNotificationConfirmation(), nil
}

func (o *office) OnStartTransaction(_ string, r *core.StartTransactionRequest) (*core.StartTransactionConfirmation, error) {
	seen(r)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.transactions++
	return core.NewStartTransactionConfirmation(accepted(), o.transactions), nil
}

func (o *office) OnStopTransaction(_ string, r *core.StopTransactionRequest) (*core.StopTransactionConfirmation, error) {
	seen(r)
	answer := core.NewStopTransactionConfirmation()
	answer.IdTagInfo = accepted()
	return answer, nil
}

func (o *office) OnDiagnosticsStatusNotification(_ string, r *firmware.DiagnosticsStatusNotificationRequest) (*firmware.DiagnosticsStatusNotificationConfirmation, error) {
	seen(r)
	return firmware.NewDiagnosticsStatusNotificationConfirmation(), nil
}

func (o *office) OnFirmwareStatusNotification(_ string, r *firmware.FirmwareStatusNotificationRequest) (*firmware.FirmwareStatusNotificationConfirmation, error) {
	seen(r)
	return firmware.NewFirmwareStatusNotificationConfirmation(), nil
}

func (o *office) OnLogStatusNotification(_ string, r *logging.LogStatusNotificationRequest) (*logging.LogStatusNotificationResponse, error) {
	seen(r)
	return logging.NewLogStatusNotificationResponse(), nil
}

func (o *office) OnSecurityEventNotification(_ string, r *security.SecurityEventNotificationRequest) (*security.SecurityEventNotificationResponse, error) {
	seen(r)
	return security.NewSecurityEventNotificationResponse(), nil
}

func (o *office) OnSignCertificate(_ string, r *security.SignCertificateRequest) (*security.SignCertificateResponse, error) {
	seen(r)
	return security.NewSignCertificateResponse(types.GenericStatusAccepted), nil
}

func (o *office) OnSignedFirmwareStatusNotification(_ string, r *securefirmware.SignedFirmwareStatusNotificationRequest) (*securefirmware.SignedFirmwareStatusNotificationResponse, error) {
	seen(r)
	return securefirmware.NewFirmwareStatusNotificationResponse(), nil
}

// request makes the library's own type of an action from a payload.
func request(action string, payload json.RawMessage) (ocpp.Request, error) {
	for _, profile := range profiles {
		if feature := profile.GetFeature(action); feature != nil {
			made := reflect.New(feature.GetRequestType()).Interface().(ocpp.Request)
			return made, json.Unmarshal(payload, made)
		}
	}
	return nil, fmt.Errorf("no feature %s", action)
}

func failure(err error) line {
	code := "GenericError"
	var known *ocpp.Error
	if errors.As(err, &known) {
		code = string(known.Code)
	}
	return line{"ok": false, "error": code, "message": err.Error()}
}

// obey sends one command and waits for its answer, so that replies come in the order of commands.
func obey(system ocpp16.CentralSystem, text []byte) line {
	var told struct {
		Cp      string
		Call    string
		Payload json.RawMessage
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return failure(err)
	}
	asked, err := request(told.Call, told.Payload)
	if err != nil {
		return failure(err)
	}
	answered := make(chan line, 1)
	err = system.SendRequestAsync(told.Cp, asked, func(answer ocpp.Response, err error) {
		if err != nil {
			answered <- failure(err)
		} else {
			answered <- line{"ok": true, "result": answer}
		}
	})
	if err != nil {
		return failure(err)
	}
	return <-answered
}

func libraryVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == library {
				return module.Version
			}
		}
	}
	return "unknown"
}

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if len(os.Args) < 3 || os.Args[2] != "plain" {
		profiles = append(profiles, securityProfiles...)
	}
	sockets := ws.NewServer()
	endpoint := ocppj.NewServer(sockets, nil, nil, profiles...)
	endpoint.SetInvalidMessageHook(func(_ ws.Channel, err *ocpp.Error, raw string, _ []any) *ocpp.Error {
		say(line{"event": "invalid", "message": err.Error() + ": " + raw})
		return nil
	})
	system := ocpp16.NewCentralSystem(endpoint, sockets)
	handler := &office{}
	system.SetCoreHandler(handler)
	system.SetFirmwareManagementHandler(handler)
	system.SetLogHandler(handler)
	system.SetSecureFirmwareHandler(handler)
	system.SetSecurityHandler(handler)
	// The server has no subprotocol to tell of a connection; it refuses those that do not offer ocpp1.6.
	system.SetNewChargePointHandler(func(station ocpp16.ChargePointConnection) {
		say(line{"event": "connected", "cp": station.ID()})
	})
	system.SetChargePointDisconnectedHandler(func(station ocpp16.ChargePointConnection) {
		say(line{"event": "disconnected", "cp": station.ID()})
	})
	trouble := system.Errors()
	go func() {
		for err := range trouble {
			say(line{"event": "invalid", "message": err.Error()})
		}
	}()
	go system.Start(port, "/{ws}")

	address := fmt.Sprintf("127.0.0.1:%d", port)
	for {
		if probe, err := net.Dial("tcp", address); err == nil {
			probe.Close()
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	say(line{"event": "ready", "url": "ws://" + address, "library": library, "version": libraryVersion()})

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		say(obey(system, lines.Bytes()))
	}
}
