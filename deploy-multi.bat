@echo off
rem Quartet on Windows with Docker Desktop: the Docker part of deploy-multi.sh, with the same words and exit codes.
rem A URL that holds = or an ampersand has to stand in "quotes", as anywhere in this shell.
setlocal EnableExtensions DisableDelayedExpansion
if not defined QUARTET_ENV_FILE set "QUARTET_ENV_FILE=%~dp0.env.multi"
for %%f in ("%QUARTET_ENV_FILE%") do set "QUARTET_ENV_FILE=%%~ff"
cd /d "%~dp0"

set "command=%~1"
if not defined command goto usage
if "%command%"=="--help" goto help
shift
if "%command%"=="start" goto start
if "%command%"=="stop" goto stop
if "%command%"=="restart" goto restart
if "%command%"=="status" goto status
if "%command%"=="logs" goto logs
if "%command%"=="register" goto register
if "%command%"=="doctor" goto doctor
goto usage

:start
if not "%~1"=="" goto usage
call :ready
if errorlevel 1 exit /b %errorlevel%
call :store
if errorlevel 1 goto unhealthy
docker compose --env-file "%QUARTET_ENV_FILE%" up -d --build --wait --remove-orphans
if errorlevel 1 goto unhealthy
echo Discord reaches the interactions URL through your HTTPS front; enter that one in the Developer Portal.
goto show

:stop
if not "%~1"=="" goto usage
call :ready
if errorlevel 1 exit /b %errorlevel%
docker compose --env-file "%QUARTET_ENV_FILE%" --profile valkey --profile tls --profile tunnel --profile monitoring --profile tools down --remove-orphans
exit /b %errorlevel%

:restart
if not "%~1"=="" goto usage
call :ready
if errorlevel 1 exit /b %errorlevel%
docker ps --filter "label=com.docker.compose.project=quartet" --quiet | findstr /r "." >nul
if errorlevel 1 goto not_running
docker compose --env-file "%QUARTET_ENV_FILE%" build instance-1
if errorlevel 1 exit /b 1
call :store
if errorlevel 1 goto unhealthy
rem One instance after the other, so that the bot goes on answering.
for %%k in (1 2 3 4) do (
  docker compose --env-file "%QUARTET_ENV_FILE%" up -d --no-build --no-deps --force-recreate --wait instance-%%k || goto unhealthy
)
docker compose --env-file "%QUARTET_ENV_FILE%" up -d --no-build --wait --remove-orphans
if errorlevel 1 goto unhealthy
rem The proxies that were not replaced take their configuration and their certificates into use anew.
for /f %%i in ('docker ps --filter "label=com.docker.compose.project=quartet" --filter "label=com.docker.compose.service=nginx" --quiet') do call :reload %%i
for /f %%i in ('docker ps --filter "label=com.docker.compose.project=quartet" --filter "label=com.docker.compose.service=nginx-tls" --quiet') do call :reload %%i
goto show

:store
rem An instance that finds no store ends, so a Valkey of our own comes first.
findstr /b "COMPOSE_PROFILES=" "%QUARTET_ENV_FILE%" | findstr "valkey" >nul
if errorlevel 1 exit /b 0
docker compose --env-file "%QUARTET_ENV_FILE%" up -d --wait valkey
exit /b %errorlevel%

:reload
docker exec %1 /docker-entrypoint.d/15-quartet.sh
if errorlevel 1 exit /b 1
docker kill --signal HUP %1 >nul
exit /b %errorlevel%

:status
set "shape=table"
if "%~1"=="--json" set "shape=json"
if "%~1"=="--json" shift
if not "%~1"=="" goto usage
call :ready
if errorlevel 1 exit /b %errorlevel%
if "%shape%"=="json" goto status_json
:show
docker compose --env-file "%QUARTET_ENV_FILE%" ps --all
goto judge
:status_json
docker compose --env-file "%QUARTET_ENV_FILE%" ps --all --format json
:judge
rem 0 all is well, 1 something is not, 3 nothing runs; as with deploy-multi.sh.
docker ps --filter "label=com.docker.compose.project=quartet" --quiet | findstr /r "." >nul
if errorlevel 1 exit /b 3
docker ps --filter "label=com.docker.compose.project=quartet" --filter "health=unhealthy" --quiet | findstr /r "." >nul
if not errorlevel 1 exit /b 1
docker ps --all --filter "label=com.docker.compose.project=quartet" --filter "status=exited" --filter "status=restarting" --quiet | findstr /r "." >nul
if not errorlevel 1 exit /b 1
exit /b 0

:logs
set "lines=50"
set "follow="
set "program="
:logs_next
if "%~1"=="" goto logs_show
if "%~1"=="--follow" goto logs_follow
if "%~1"=="-f" goto logs_follow
if "%~1"=="--lines" goto logs_lines
if "%~1"=="-n" goto logs_lines
if defined program goto usage
set "program=%~1"
for %%k in (1 2 3 4) do if "%~1"=="%%k" set "program=instance-%%k"
shift
goto logs_next
:logs_follow
set "follow=--follow"
shift
goto logs_next
:logs_lines
if "%~2"=="" goto usage
set "lines=%~2"
shift
shift
goto logs_next
:logs_show
call :ready
if errorlevel 1 exit /b %errorlevel%
docker compose --env-file "%QUARTET_ENV_FILE%" logs --tail "%lines%" %follow% %program%
exit /b %errorlevel%

:register
set "arguments="
:register_next
if "%~1"=="" goto register_run
set arguments=%arguments% "%~1"
shift
goto register_next
:register_run
call :ready
if errorlevel 1 exit /b %errorlevel%
docker compose --env-file "%QUARTET_ENV_FILE%" run --rm --build --no-deps register %arguments%
exit /b %errorlevel%

:doctor
set "arguments="
:doctor_next
if "%~1"=="" goto doctor_run
set arguments=%arguments% "%~1"
shift
goto doctor_next
:doctor_run
call :ready
if errorlevel 1 exit /b %errorlevel%
rem Built first and quietly, so that --json prints nothing else.
docker compose --env-file "%QUARTET_ENV_FILE%" --profile tools build --quiet tools
if errorlevel 1 exit /b 1
docker compose --env-file "%QUARTET_ENV_FILE%" run --rm --no-deps -T tools doctor %arguments%
exit /b %errorlevel%

:ready
where docker >nul 2>nul
if errorlevel 1 goto no_docker
docker info >nul 2>nul
if errorlevel 1 goto no_docker
docker compose version >nul 2>nul
if errorlevel 1 goto no_docker
if not exist "%QUARTET_ENV_FILE%" goto no_file
rem Compose would prefer this window's variables to the file's; the file is the one source.
for /f "usebackq eol=# tokens=1 delims==" %%v in ("%QUARTET_ENV_FILE%") do set "%%v="
set "count="
for /f "usebackq eol=# tokens=1,2 delims==" %%v in ("%QUARTET_ENV_FILE%") do if "%%v"=="INSTANCE_COUNT" set "count=%%~w"
if not defined count set "count=4"
for /f "tokens=1" %%n in ("%count%") do set "count=%%n"
if not "%count%"=="4" goto wrong_count
rem A SQLite file always lies on the containers' own volume, whatever path it has elsewhere.
findstr /b /c:"STORE_URL=sqlite:" "%QUARTET_ENV_FILE%" >nul
if not errorlevel 1 set "STORE_URL=sqlite:////data/quartet.db"
exit /b 0

:no_docker
echo Docker does not answer. Start Docker Desktop, then try again. 1>&2
exit /b 1

:no_file
echo There is no "%QUARTET_ENV_FILE%". Make it from the example, then fill it in: 1>&2
echo   copy .env.multi.example .env.multi 1>&2
exit /b 2

:wrong_count
echo INSTANCE_COUNT: is not 4, and this script has four instances. For another number use WSL: ./deploy-multi.sh start 1>&2
exit /b 2

:not_running
echo Nothing is running. Start it with: deploy-multi.bat start 1>&2
exit /b 3

:unhealthy
echo The containers did not all get healthy. See: deploy-multi.bat logs 1>&2
exit /b 1

:help
call :words
exit /b 0

:usage
call :words 1>&2
exit /b 2

:words
echo usage: deploy-multi.bat COMMAND
echo   start                                  start everything and wait until it is healthy
echo   stop                                   finish or hand over the work, then end everything
echo   restart                                take a changed file into use, one instance after the other
echo   status [--json]                        what runs, and how well
echo   logs [1..4 ^| nginx] [--follow] [--lines N]
echo   register [--plan] [--guild ID] [--delete]
echo   doctor [URL] [--json]                  what keeps the bot from answering, and what to do
echo The configuration is .env.multi beside this script, or the file that QUARTET_ENV_FILE names.
echo Exit codes: 0 done, 1 failed or unhealthy, 2 wrong configuration or usage, 3 not running.
echo The other commands (demo, test, bench, faults, backup, restore, migrate, kubernetes) need WSL or Linux: ./deploy-multi.sh --help
exit /b 0
