@echo off
rem Quartet on Windows: the Docker part of deploy-multi.sh, with the same words.
setlocal
cd /d "%~dp0"
if "%QUARTET_ENV_FILE%"=="" set "QUARTET_ENV_FILE=.env.multi"
set "command=%~1"
if "%command%"=="" goto usage
if "%command%"=="--help" goto usage
if "%command%"=="help" goto usage

set "arguments="
:collect
shift
if "%~1"=="" goto collected
set "arguments=%arguments% "%~1""
goto collect
:collected

where docker >nul 2>nul || goto no_docker
docker info >nul 2>nul || goto no_docker
if not exist "%QUARTET_ENV_FILE%" goto no_file

if "%command%"=="start" goto start
if "%command%"=="stop" goto stop
if "%command%"=="restart" goto restart
if "%command%"=="status" goto status
if "%command%"=="logs" goto logs
if "%command%"=="register" goto register
goto usage

:start
docker compose --env-file "%QUARTET_ENV_FILE%" up -d --build --wait
exit /b %errorlevel%

:stop
docker compose --env-file "%QUARTET_ENV_FILE%" down
exit /b %errorlevel%

:restart
rem One instance after the other, so that the bot goes on answering; nginx looks their addresses up again each time.
for %%k in (1 2 3 4) do (
  docker compose --env-file "%QUARTET_ENV_FILE%" up -d --build --wait --no-deps --force-recreate instance-%%k || exit /b 1
  docker compose --env-file "%QUARTET_ENV_FILE%" kill -s HUP nginx || exit /b 1
)
docker compose --env-file "%QUARTET_ENV_FILE%" up -d --wait
exit /b %errorlevel%

:status
docker compose --env-file "%QUARTET_ENV_FILE%" ps %arguments%
exit /b %errorlevel%

:logs
docker compose --env-file "%QUARTET_ENV_FILE%" logs %arguments%
exit /b %errorlevel%

:register
docker compose --env-file "%QUARTET_ENV_FILE%" run --rm --build --no-deps register %arguments%
exit /b %errorlevel%

:no_docker
echo Docker does not answer. Start Docker Desktop, then try again. 1>&2
exit /b 1

:no_file
echo There is no %QUARTET_ENV_FILE%. Copy .env.multi.example to it and fill it in: copy .env.multi.example .env.multi 1>&2
exit /b 2

:usage
echo usage: deploy-multi.bat start ^| stop ^| restart ^| status ^| logs [--follow] [instance-1..4 ^| nginx] ^| register [--guild ID] [--dry-run]
echo The other commands (demo, test, bench) need Linux or WSL: ./deploy-multi.sh --help
exit /b 2
